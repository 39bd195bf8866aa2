// node duckdb.mjs SQL THREADS: runs the query in an in-memory DuckDB and prints the
// seconds that it took alone, its one row of numbers, and the version.
import { DuckDBInstance } from '@duckdb/node-api';

const instance = await DuckDBInstance.create(':memory:', { threads: process.argv[3] });
const connection = await instance.connect();
const start = process.hrtime.bigint();
const answer = await connection.runAndReadAll(process.argv[2]);
const seconds = Number(process.hrtime.bigint() - start) / 1e9;
const [groups, records] = answer.getRows()[0].map(Number);
const version = (await connection.runAndReadAll('select version()')).getRows()[0][0];
console.log(JSON.stringify({ seconds, groups, records, version }));
