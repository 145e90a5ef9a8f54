/** The list of instances: creating one. */

import { callApi, quote } from "./api.js";
import { BASE } from "./dom.js";
import { handleSubmit } from "./form_errors.js";

const form = document.getElementById("create");

handleSubmit(form, async () => {
  const given = new FormData(form);
  const id = given.get("id").trim();
  const body = { name: given.get("name"), ...(id && { id }) };
  const instance = await callApi("POST", "/instances", { body });
  location.assign(`${BASE}/instances/${quote(instance.id)}`);
});
