/** The settings page of an instance. The page contains only the sections that the user may manage. */

import { callApi, quote } from "./api.js";
import { BASE, readState } from "./dom.js";
import { handleSubmit } from "./form_errors.js";
import { setUpMembers } from "./settings_members.js";
import { setUpPolicy } from "./settings_policy.js";
import { setUpTokens } from "./settings_tokens.js";

const state = readState();
const byId = (id) => document.getElementById(id);

const tokens = byId("tokens") && setUpTokens(byId("tokens"), state);
if (byId("members")) setUpMembers(byId("members"), state, () => tokens?.refresh());
if (byId("policy")) setUpPolicy(byId("policy"), state);

const deletion = byId("delete");
if (deletion) {
  handleSubmit(deletion, async () => {
    // The server compares the id.
    const confirm = deletion.elements.confirm.value.trim();
    await callApi("DELETE", `/instances/${quote(state.instance)}?confirm=${quote(confirm)}`);
    location.assign(`${BASE}/`);
  });
}
