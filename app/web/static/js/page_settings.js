/** An instance's settings. Each part is there for those who may keep it; what is in it is told by its module. */

import { callApi, quote } from "./api.js";
import { BASE, readState } from "./dom.js";
import { handleSubmit } from "./form_errors.js";
import { keepMembers } from "./settings_members.js";
import { keepPolicy } from "./settings_policy.js";
import { keepTokens } from "./settings_tokens.js";

const state = readState();
const byId = (id) => document.getElementById(id);

const tokens = byId("tokens") && keepTokens(byId("tokens"), state);
if (byId("members")) keepMembers(byId("members"), state, () => tokens?.refresh());
if (byId("policy")) keepPolicy(byId("policy"), state);

const end = byId("delete");
if (end) {
  handleSubmit(end, async () => {
    // What was typed is what is sent: whether it is the right id is for the server to say.
    const confirm = end.elements.confirm.value.trim();
    await callApi("DELETE", `/instances/${quote(state.instance)}?confirm=${quote(confirm)}`);
    location.assign(`${BASE}/`);
  });
}
