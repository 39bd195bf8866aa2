"use strict";
// node look.js CHROMIUM FILE…: opens each report as people do, and writes what is wrong with
// it to standard output, one JSON object a line.
const { chromium } = require("playwright-core");
const axe = require("fs").readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const say = (o) => console.log(JSON.stringify(o));

async function look(browser, file, colorScheme, width) {
  const where = { file, colorScheme, width };
  const page = await browser.newPage({ viewport: { width, height: 900 }, colorScheme });
  page.on("console", (m) => say({ ...where, what: "console", detail: m.text() }));
  page.on("pageerror", (e) => say({ ...where, what: "error", detail: String(e) }));
  page.on("request", (r) => { if (!r.url().startsWith("file:")) say({ ...where, what: "request", detail: r.url() }); });
  await page.goto("file://" + file);
  const closed = await page.evaluate(() => document.documentElement.scrollWidth);
  if (closed > width) say({ ...where, what: "overflow", detail: closed + " pixels wide" });
  await page.evaluate(() => document.querySelectorAll("details").forEach((d) => { d.open = true; }));
  const open = await page.evaluate(() => document.documentElement.scrollWidth);
  if (open > width) say({ ...where, what: "overflow", detail: open + " pixels wide with all details open" });
  await page.evaluate(axe);
  const found = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
  for (const v of found.violations) {
    say({ ...where, what: "axe " + v.id, detail: v.nodes.length + ": " + v.nodes[0].html.slice(0, 200) + " " + v.nodes[0].failureSummary });
  }
  say({ ...where, what: "looked", detail: found.passes.length + " rules passed" });
  await page.close();
}

// The search hides the rows that do not match, and nothing else.
async function search(browser, file) {
  const page = await browser.newPage();
  await page.goto("file://" + file);
  const rows = () => page.evaluate(() => {
    const t = document.querySelector('table[data-search="findings"]');
    return [...t.tBodies[0].rows].filter((r) => r.offsetParent !== null).map((r) => r.textContent);
  });
  const all = await rows();
  const word = "medium";
  await page.fill("#findings input", word);
  await page.waitForTimeout(300);
  const left = await rows();
  const want = all.filter((t) => t.toLowerCase().includes(word)).length;
  if (left.length !== want || want === 0 || want === all.length) say({ file, what: "search", detail: `${left.length} of ${all.length} rows, want ${want}` });
  await page.close();
}

// Without script all is there.
async function plain(browser, file) {
  const count = async (javaScriptEnabled) => {
    const context = await browser.newContext({ javaScriptEnabled });
    const page = await context.newPage();
    await page.goto("file://" + file);
    const n = await page.locator("tr:not([hidden]), svg, details, h2").count();
    await context.close();
    return n;
  };
  const [on, off] = [await count(true), await count(false)];
  if (on !== off || off < 50) say({ file, what: "script", detail: `${off} parts without script, ${on} with it` });
}

async function print(browser, file) {
  const page = await browser.newPage({ colorScheme: "dark" });
  await page.goto("file://" + file);
  await page.emulateMedia({ media: "print", colorScheme: "dark" });
  const seen = await page.evaluate(() => ({
    paper: getComputedStyle(document.body).backgroundColor,
    shut: [...document.querySelectorAll("details")].filter((d) => !d.open && d.lastElementChild.offsetHeight === 0).length,
  }));
  if (seen.paper !== "rgb(255, 255, 255)") say({ file, what: "print", detail: "the paper is " + seen.paper });
  if (seen.shut > 0) say({ file, what: "print", detail: seen.shut + " details are not printed" });
  const pdf = await page.pdf({ format: "A4", preferCSSPageSize: true });
  if (pdf.length < 20000) say({ file, what: "print", detail: pdf.length + " bytes of PDF" });
  await page.close();
}

(async () => {
  const [executablePath, ...files] = process.argv.slice(2);
  const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
  for (const file of files) {
    for (const scheme of ["light", "dark"]) {
      for (const width of [360, 768, 1280, 1920]) await look(browser, file, scheme, width);
    }
    await search(browser, file);
    await plain(browser, file);
    await print(browser, file);
  }
  await browser.close();
})().catch((e) => { console.error(e); process.exit(1); });
