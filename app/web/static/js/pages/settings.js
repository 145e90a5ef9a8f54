/** The settings page of an instance. The page contains only the sections that the user may manage. */

import { callApi, quote } from "../server/api.js";
import { BASE, readState } from "../display/dom.js";
import { handleSubmit } from "../forms/errors.js";
import { setUpMembers } from "../settings/members.js";
import { setUpPolicy } from "../settings/policy.js";
import { setUpTokens } from "../settings/tokens.js";

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
