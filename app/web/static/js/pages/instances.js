/** The page of instances: creates an instance. */

import { callApi, quote } from "../server/api.js";
import { BASE } from "../display/dom.js";
import { handleSubmit } from "../forms/errors.js";

const form = document.getElementById("create");

handleSubmit(form, async () => {
  const data = new FormData(form);
  const id = data.get("id").trim();
  const body = { name: data.get("name"), ...(id && { id }) };
  const instance = await callApi("POST", "/instances", { body });
  location.assign(`${BASE}/instances/${quote(instance.id)}`);
});
