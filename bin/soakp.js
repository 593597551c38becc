#!/usr/bin/env node
// Plain JavaScript, so that a Node that is too old gets a sentence instead of a syntax error or a crash.
import { existsSync } from 'node:fs'

const [major, minor] = process.versions.node.split('.').map(Number)
if (major < 22 || (major === 22 && minor < 19)) {
  process.stderr.write(
    `soakp: Node ${process.versions.node} is too old; SOAKP needs 22.19 or newer. In a clone, \`npm start\` brings its own.\n`,
  )
  process.exit(1)
}

// A clone runs the sources; the published package has only dist.
const source = new URL('../cli/main.ts', import.meta.url)
const { main } = await import(existsSync(source) ? source.href : new URL('../dist/cli/main.js', import.meta.url).href)
await main(process.argv.slice(2))
