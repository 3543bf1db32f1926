// Recomputes the digests and signatures of vectors.json as docs/registry.md says, with nothing of onnxlet's.
// Each line that it prints names a vector that came out otherwise; the last one counts them all.
import { createHash, createPublicKey, verify } from "node:crypto";
import { readFileSync } from "node:fs";

const vectors = JSON.parse(readFileSync(process.argv[2], "utf8"));
let count = 0;

function expect(name, found, expected) {
  count += 1;
  if (found !== expected) console.log(`${name}: expected ${expected}, got ${found}`);
}

/** RFC 8785: JavaScript's own JSON.stringify, with the names of each object in the order of their UTF-16 code units. */
function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  const fields = Object.keys(value).sort().map((name) => `${JSON.stringify(name)}:${canonical(value[name])}`);
  return `{${fields.join(",")}}`;
}

function without(document, ...fields) {
  return Object.fromEntries(Object.entries(document).filter(([name]) => !fields.includes(name)));
}

const sha256 = (data) => createHash("sha256").update(data).digest("hex");

for (const { name, stored, canonical: text, digest } of vectors.documents) {
  const document = JSON.parse(stored);
  const found = canonical(without(document, "digest"));
  expect(`${name}: canonical form`, found, text);
  expect(`${name}: SHA-256`, sha256(found), digest);
  expect(`${name}: digest`, document.digest, digest);
}

for (const { name, manifest, public_key: key, value, message_sha256: messageDigest } of vectors.signatures) {
  const document = JSON.parse(manifest);
  const message = Buffer.from(`onnxlet manifest\n${canonical(without(document, "digest", "signature"))}`);
  const prefix = Buffer.from("302a300506032b6570032100", "hex"); // RFC 8410: what comes before an Ed25519 key in DER
  const publicKey = createPublicKey({
    key: Buffer.concat([prefix, Buffer.from(key, "base64")]), format: "der", type: "spki",
  });
  expect(`${name}: message`, sha256(message), messageDigest);
  expect(`${name}: field`, `${document.signature.public_key} ${document.signature.value}`, `${key} ${value}`);
  expect(`${name}: signature`, verify(null, message, publicKey, Buffer.from(value, "base64")), true);
  message[message.length - 2] ^= 1;
  expect(`${name}: signature of another message`, verify(null, message, publicKey, Buffer.from(value, "base64")), false);
}

for (const { bits, text } of vectors.numbers) {
  expect(`number ${bits}`, JSON.stringify(Buffer.from(bits, "hex").readDoubleBE()), text);
}

console.log(`${count} compared`);
