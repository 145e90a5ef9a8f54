/** Finds the fields that a JSON Schema marks as secret, by the rules of `app/core/privacy/redaction.py`. */

/** @param {any} schema @returns {boolean} whether the value or a part that is always present is marked as secret */
export function isSecret(schema) {
  if (schema === null || typeof schema !== "object") return false;
  if (schema["x-secret"] === true || schema.writeOnly === true || schema.format === "password") return true;
  return subschemas(schema).some(isSecret);
}

/** @param {any} schema @returns {boolean} whether any part of the value is marked as secret, at any depth */
export function containsSecret(schema) {
  if (isSecret(schema)) return true;
  if (schema === null || typeof schema !== "object") return false;
  return [...subschemas(schema), ...(schema.oneOf ?? []), ...Object.values(schema.properties ?? {})].some(containsSecret);
}

function subschemas({ items, additionalProperties, anyOf = [], allOf = [] }) {
  return [items, additionalProperties, ...anyOf, ...allOf].filter((inner) => inner);
}
