/** The account page: personal tokens and password. */

import { callApi, Problem, quote } from "../server/api.js";
import { BASE } from "../display/dom.js";
import { handleSubmit } from "../forms/errors.js";

const byId = (id) => document.getElementById(id);

async function revoke(row) {
  byId("action-error").hidden = true;
  try {
    await callApi("DELETE", `/tokens/${quote(row.dataset.token)}`);
    row.remove();
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    byId("action-error").textContent = problem.message;
    byId("action-error").hidden = false;
  }
}

for (const row of document.querySelectorAll("[data-token]")) {
  row.querySelector("button").addEventListener("click", () => revoke(row));
}

const creation = byId("create-token");
if (creation) {
  handleSubmit(creation, async () => {
    const data = new FormData(creation);
    const body = { name: data.get("name"), ...(data.get("read") && { acts: ["instance.read"] }) };
    const { secret } = await callApi("POST", "/tokens", { body });
    byId("created-token").querySelector("pre").textContent = secret;
    byId("created-token").hidden = false;
  });
}

const password = byId("password");
if (password) {
  handleSubmit(password, async () => {
    const data = new FormData(password);
    const body = { password: data.get("password"), new_password: data.get("new_password") };
    await callApi("POST", "/auth/password", { body });
    location.assign(`${BASE}/login?next=${encodeURIComponent(`${BASE}/account`)}`);
  });
}
