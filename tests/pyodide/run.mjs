// Runs checks.py in real Pyodide: node run.mjs DISTRIBUTION REPOSITORY bare|whole
//
// DISTRIBUTION holds pyodide.mjs and wheels; every wheel in it is installed. Nothing is fetched.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [distribution, repository, which] = process.argv.slice(2);
const { loadPyodide } = await import(pathToFileURL(join(distribution, "pyodide.mjs")));
const python = await loadPyodide({ env: { HOME: "/home/pyodide", MPLBACKEND: "agg" } });
for (const name of readdirSync(distribution).filter((file) => file.endsWith(".whl"))) {
  const bytes = new Uint8Array(readFileSync(join(distribution, name))).slice();
  python.unpackArchive(bytes, "wheel");
}
python.FS.mkdirTree("/repository");
python.mountNodeFS("/repository", repository);
const answers = await python.runPythonAsync(`
import runpy, sys
from pathlib import Path

sys.path.insert(0, "/repository")
checks = runpy.run_path("/repository/tests/pyodide/checks.py")
if "${which}" == "bare":
    answers = checks["bare_answers"]("/repository/data/sample.jsonl.gz")
else:
    answers = await checks["sample_answers"](Path("/tmp"))
    await checks["check_simulated"](Path("/tmp"))
    checks["check_refusals"](Path("/tmp"))
    checks["check_default_is_simulated"]()
checks["printed"]({**answers, "platform": sys.platform})
`);
console.log(answers);
