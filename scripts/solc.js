#!/usr/bin/env node
// solc.js: the pinned npm `solc` (WebAssembly) behind the two calls that forge and py-solc-x make of a native solc.
//
//   solc.js --version                                     prints the version as the native program does
//   solc.js --standard-json [--allow-paths A,B] ...       JSON on stdin, JSON on stdout
//
// Guarantees: stdout carries the JSON and nothing else, whole (the package's own `solcjs` prints a notice first and
// cuts piped output at 64 KiB); no network, no downloads. Trusts: node_modules, as pinned by package-lock.json.
// Sources should come inline; an import that is missing there is read only from below the base, include and allowed
// paths (by default the working directory).
"use strict";

const fs = require("fs");
const path = require("path");

const WITH_VALUE = new Set(["--allow-paths", "--base-path", "--include-path"]);
const WITHOUT_VALUE = new Set(["--standard-json", "--version", "--pretty-json", "--no-color"]);

function parse(args) {
  const found = { flags: new Set(), paths: [] };
  for (let i = 0; i < args.length; i++) {
    const [name, inline] = args[i].split(/=(.*)/s);
    if (WITH_VALUE.has(name)) {
      const value = inline === undefined ? args[++i] : inline;
      if (value === undefined) throw new Error(`${name} needs a value`);
      found.paths.push(...value.split(",").filter((p) => p !== ""));
    } else if (WITHOUT_VALUE.has(name)) {
      found.flags.add(name);
    } else if (name !== "-") {
      throw new Error(`unrecognised option '${args[i]}'`);
    }
  }
  return found;
}

/** Writes everything: a pipe takes at most its buffer at once, and answers EAGAIN while it is full. */
function writeAll(fd, text) {
  const bytes = Buffer.from(text, "utf8");
  const pause = new Int32Array(new SharedArrayBuffer(4));
  for (let at = 0; at < bytes.length; ) {
    try {
      at += fs.writeSync(fd, bytes, at);
    } catch (error) {
      if (error.code !== "EAGAIN") throw error;
      Atomics.wait(pause, 0, 0, 5);
    }
  }
}

/** solc's import callback: the first file of that name below one of `roots`, and never one outside them. */
function importer(roots) {
  const real = roots.filter((root) => fs.existsSync(root)).map((root) => fs.realpathSync(root));
  const inside = (file) => real.some((root) => file === root || file.startsWith(root + path.sep));
  return (name) => {
    for (const root of real) {
      const candidate = path.resolve(root, name);
      if (!fs.existsSync(candidate)) continue;
      const file = fs.realpathSync(candidate);
      if (inside(file)) return { contents: fs.readFileSync(file, "utf8") };
    }
    return { error: `${name} is neither in the input nor below ${roots.join(", ")}` };
  };
}

function compiler() {
  // The WebAssembly glue installs handlers that print the whole 8 MB program on an uncaught error; remove them.
  const solc = require("solc");
  process.removeAllListeners("uncaughtException");
  process.removeAllListeners("unhandledRejection");
  return solc;
}

function main(args) {
  const { flags, paths } = parse(args);
  const solc = compiler();
  if (flags.has("--version")) {
    const version = solc.version().replace(".Emscripten.clang", "");
    writeAll(1, `solc, the solidity compiler commandline interface\nVersion: ${version}.Emscripten.clang\n`);
  } else if (flags.has("--standard-json")) {
    const roots = paths.length > 0 ? paths : [process.cwd()];
    writeAll(1, solc.compile(fs.readFileSync(0, "utf8"), { import: importer(roots) }) + "\n");
  } else {
    throw new Error("only --version and --standard-json are offered");
  }
}

try {
  main(process.argv.slice(2));
} catch (error) {
  writeAll(2, `solc.js: ${error.message}\n`);
  process.exitCode = 1;
}
