"use strict";
// Adds to the page what needs no network and nothing but the page: a search above the long
// tables, and a button that opens every detail. Without it all rows are there, too.
(() => {
  const make = (name, text, parent) => {
    const e = document.createElement(name);
    if (text) e.textContent = text;
    if (parent) parent.append(e);
    return e;
  };
  for (const table of document.querySelectorAll("table[data-search]")) {
    const rows = [...table.tBodies].flatMap((b) => [...b.rows]);
    const more = (r) => r.nextElementSibling?.classList.contains("more") ? r.nextElementSibling : null;
    const real = rows.filter((r) => !r.querySelector("th.group") && !r.classList.contains("more"));
    if (real.length < 8) continue;
    const bar = make("div");
    bar.className = "search";
    const label = make("label", "Search " + table.dataset.search + " ", bar);
    const input = make("input", "", label);
    input.type = "search";
    const said = make("output", "", bar);
    const texts = new Map(real.map((r) => [r, (r.textContent + (more(r)?.textContent ?? "")).toLowerCase()]));
    let wait = 0;
    input.addEventListener("input", () => {
      clearTimeout(wait);
      wait = setTimeout(() => {
        const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
        let n = 0;
        for (const body of table.tBodies) {
          const group = body.querySelector("th.group");
          const inGroup = group ? group.textContent.toLowerCase() : "";
          let any = false;
          for (const row of body.rows) {
            const text = texts.get(row);
            if (text === undefined) continue;
            row.hidden = !words.every((w) => text.includes(w) || inGroup.includes(w));
            if (more(row)) more(row).hidden = row.hidden;
            if (!row.hidden) { n++; any = true; }
          }
          if (group) group.parentElement.hidden = !any;
        }
        said.textContent = words.length ? n + " of " + real.length : "";
      }, 120);
    });
    table.parentElement.before(bar);
  }
  const details = [...document.querySelectorAll("main details")];
  const nav = document.querySelector("nav > div");
  if (nav && details.length > 0) {
    const button = make("button", "Open all details", nav);
    button.type = "button";
    button.addEventListener("click", () => {
      const open = details.some((d) => !d.open);
      for (const d of details) d.open = open;
      button.textContent = open ? "Close all details" : "Open all details";
    });
  }
  const reveal = () => {
    const at = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    for (let e = at; e; e = e.parentElement) if (e.tagName === "DETAILS") e.open = true;
    if (at) at.scrollIntoView();
  };
  addEventListener("hashchange", reveal);
  if (location.hash) reveal();
})();
