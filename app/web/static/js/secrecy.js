/** What a schema marks as secret, as `app/core/privacy/redaction.py` reads it: what is typed there is not shown on the screen. */

/** @param {any} schema @returns {boolean} whether what it describes is marked, itself or what it is made of */
export function isSecret(schema) {
  if (schema === null || typeof schema !== "object") return false;
  if (schema["x-secret"] === true || schema.writeOnly === true || schema.format === "password") return true;
  return innerOf(schema).some(isSecret);
}

/** @param {any} schema @returns {boolean} whether anything in what it describes is marked, however deep */
export function holdsSecret(schema) {
  if (isSecret(schema)) return true;
  if (schema === null || typeof schema !== "object") return false;
  return [...innerOf(schema), ...(schema.oneOf ?? []), ...Object.values(schema.properties ?? {})].some(holdsSecret);
}

function innerOf({ items, additionalProperties, anyOf = [], allOf = [] }) {
  return [items, additionalProperties, ...anyOf, ...allOf].filter((inner) => inner);
}
