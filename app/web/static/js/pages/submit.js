/** The page that submits a task. */

import { AgentForm } from "../forms/agent_form.js";
import { callApi, quote } from "../server/api.js";
import { BASE, readState } from "../display/dom.js";
import { handleSubmit } from "../forms/errors.js";

const form = document.getElementById("submit");

if (form) {
  const agentForm = new AgentForm(form, readState().agents, new URLSearchParams(location.search).has("sample"));
  // The key belongs to the content: a repeated click, or a retry after a lost response, finds the first task.
  let last = { text: "", key: "" };
  handleSubmit(form, async () => {
    const data = new FormData(form);
    const title = data.get("title").trim();
    const expires = data.get("expires_in");
    const body = {
      kind: agentForm.kind,
      input: agentForm.read(),
      ...(title && { title }),
      ...(expires && { expires_in: Number(expires) }),
    };
    const text = JSON.stringify(body);
    if (last.text !== text) last = { text, key: makeKey() };
    const path = `/instances/${quote(form.dataset.instance)}/tasks`;
    const { task } = await callApi("POST", path, { body, headers: { "Idempotency-Key": last.key } });
    last = { text: "", key: "" };
    location.assign(`${BASE}/tasks/${quote(task.id)}`);
  });
}

function makeKey() {
  // `crypto.randomUUID` exists on secure origins only, but a server may use plain HTTP.
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
