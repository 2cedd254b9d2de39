// Print the Khronos validator's report on each file named as JSON, one line per file.
// usage: node validate_gltf.cjs <node_modules> <file>...
const fs = require("fs");
const path = require("path");

const [folder, ...files] = process.argv.slice(2);
const validator = require(path.join(path.resolve(folder), "gltf-validator"));

(async () => {
  for (const file of files) {
    const bytes = new Uint8Array(fs.readFileSync(file));
    const report = await validator.validateBytes(bytes, { maxIssues: 100, writeTimestamp: false });
    console.log(JSON.stringify(report));
  }
})().catch((error) => {
  console.error(String(error));
  process.exit(1);
});
