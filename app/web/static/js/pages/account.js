/** The account page: personal tokens and password. */

import { callApi, Problem, quote } from "../server/api.js";
import { BASE, cloneTemplate, readState, setText } from "../display/dom.js";
import { handleSubmit } from "../forms/errors.js";

const byId = (id) => document.getElementById(id);

async function revoke(row) {
  byId("action-error").hidden = true;
  try {
    await callApi("DELETE", `/tokens/${quote(row.dataset.token)}`);
    row.remove();
    showWhetherEmpty();
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    byId("action-error").textContent = problem.message;
    byId("action-error").hidden = false;
  }
}

function add({ id, name, acts, instance_id: instance, expires_at: expires }) {
  const { root, slots } = cloneTemplate("token-row");
  root.dataset.token = id;
  setText(slots.name, name);
  const parts = [(acts ?? ["all your permissions"]).join(", "), instance, `expires ${expires.slice(0, 10)}`];
  setText(slots.about, parts.filter(Boolean).join(" · "));
  root.querySelector("button").addEventListener("click", () => revoke(root));
  byId("tokens").prepend(root);
  showWhetherEmpty();
}

function showWhetherEmpty() {
  byId("no-tokens").hidden = byId("tokens").children.length > 0;
}

if (byId("tokens")) {
  readState().reverse().forEach(add);
  showWhetherEmpty();
}

const creation = byId("create-token");
if (creation) {
  handleSubmit(creation, async () => {
    const data = new FormData(creation);
    const body = { name: data.get("name"), ...(data.get("read") && { acts: ["instance.read"] }) };
    const { secret, token } = await callApi("POST", "/tokens", { body });
    add(token);
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
