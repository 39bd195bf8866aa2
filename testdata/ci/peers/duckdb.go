package main

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// duckDBPackage is what is installed. Its own dependencies are pinned by it.
const duckDBPackage = "@duckdb/node-api@1.5.6-r.1"

//go:embed duckdb.mjs
var duckDBScript []byte

// duckDB is an installed DuckDB.
type duckDB struct {
	dir     string
	version string
	groups  int // that the last query found
}

// installDuckDB installs DuckDB below dir unless it is there.
func installDuckDB(dir string) (*duckDB, error) {
	for _, tool := range []string{"node", "npm"} {
		if _, err := exec.LookPath(tool); err != nil {
			return nil, fmt.Errorf("no DuckDB: %s is not installed", tool)
		}
	}
	dir = filepath.Join(dir, strings.NewReplacer("@", "", "/", "-").Replace(duckDBPackage))
	db := &duckDB{dir: dir}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "duckdb.mjs"), duckDBScript, 0o666); err != nil {
		return nil, err
	}
	if _, err := db.ask("select 1, 1"); err == nil {
		return db, nil
	}
	// It must not find a package.json further up and install there.
	if err := os.WriteFile(filepath.Join(dir, "package.json"), []byte("{\"private\": true}\n"), 0o666); err != nil {
		return nil, err
	}
	install := exec.Command("npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--save-exact", duckDBPackage)
	install.Dir = dir
	if out, err := install.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("no DuckDB: npm: %w\n%s", err, out)
	}
	_, err := db.ask("select 1, 1")
	return db, err
}

func (db *duckDB) ask(sql string) (run, error) { return db.command(sql).run() }

// command returns what runs a query.
func (db *duckDB) command(sql string) *command {
	return &command{args: []string{"node", "duckdb.mjs", sql, threads}, dir: db.dir, reply: true}
}

// query is the first step of the main job: the distinct connections, with counts, as
// far as SQL can tell without knowing interfaces and rules. The columns are given: to
// find them out takes DuckDB a quarter longer.
func query(in *input, s *set) string {
	var files []string
	for _, f := range s.files {
		files = append(files, quote(f))
	}
	from := "read_parquet([" + strings.Join(files, ", ") + "])"
	if in.columns != nil {
		var columns []string
		for _, name := range in.columns {
			kind := "VARCHAR"
			switch name {
			case "srcport", "dstport":
				kind = "USMALLINT"
			case "protocol":
				kind = "UTINYINT"
			}
			columns = append(columns, quote(name)+": "+quote(kind))
		}
		from = fmt.Sprintf("read_csv([%s], delim=%s, header=true, auto_detect=false, nullstr='-', quote='', escape='', columns={%s})",
			strings.Join(files, ", "), quote(string(in.sep)), strings.Join(columns, ", "))
	}
	return "select count(*), sum(n) from (select interface_id, protocol, srcaddr, dstaddr, least(srcport, dstport), action, count(*) n from " + from + " group by all)"
}

func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// check reads the answer of a run and whether it is of all records.
func (db *duckDB) check(r *run, records int) error {
	var a struct {
		Seconds         float64
		Groups, Records int
		Version         string
	}
	if err := json.Unmarshal(r.output, &a); err != nil {
		return fmt.Errorf("DuckDB: %w: %s", err, r.output)
	}
	if a.Records != records {
		return fmt.Errorf("DuckDB: %d records, want %d", a.Records, records)
	}
	r.query, db.version, db.groups = a.Seconds, a.Version, a.Groups
	return nil
}
