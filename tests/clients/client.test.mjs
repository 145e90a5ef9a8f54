/** The client of the REST API, with a function in place of `fetch`. */

import assert from "node:assert/strict";
import { test } from "node:test";

import {
  ApiError,
  Client,
  Conflict,
  ConnectionFailed,
  Forbidden,
  InvalidInput,
  NotFound,
  TimedOut,
  TooFast,
  Unauthenticated,
  Unavailable,
} from "../../clients/javascript/index.js";

const SERVER = "http://server:8000";

/** A client whose requests get these answers in turn: `[status, body, headers]`, or an Error. */
function clientWith(answers, options = {}) {
  const requests = [];
  const fetch = async (url, { method, headers, body, signal }) => {
    requests.push({ method, url: url.replace(`${SERVER}/api/v1`, ""), headers, body: body && JSON.parse(body) });
    const answer = answers.shift();
    if (signal.aborted) throw signal.reason;
    if (answer === "silence") return new Promise((_, reject) => (signal.onabort = () => reject(signal.reason)));
    if (answer instanceof Error) throw answer;
    const [status, json, more = {}] = answer;
    return new Response(typeof json === "string" ? json : JSON.stringify(json), { status, headers: more });
  };
  return { client: new Client(`${SERVER}/`, { fetch, ...options }), requests };
}

const OUTCOME = { task: { id: "t1" }, seq: 7, epoch: "e" };

test("a submission names its key, and says whether it is a new task", async () => {
  const warnings = [{ code: "no_worker", message: "no worker" }];
  const { client, requests } = clientWith([
    [201, { ...OUTCOME, warnings }],
    [200, OUTCOME],
  ]);
  const first = await client.submit("echo", { a: 1 }, { instance: "my demo", title: "One", key: "k", expiresIn: 60 });
  const second = await client.submit("echo", null, { instance: "demo" });
  assert.deepEqual(first, { ...OUTCOME, created: true, warnings });
  assert.deepEqual(second, { ...OUTCOME, created: false, warnings: [] });
  assert.equal(requests[0].url, "/instances/my%20demo/tasks");
  assert.deepEqual(requests[0].body, { kind: "echo", input: { a: 1 }, title: "One", expires_in: 60 });
  assert.equal(requests[0].headers["Idempotency-Key"], "k");
  assert.match(requests[1].headers["Idempotency-Key"], /^[0-9a-f]{32}$/);
});

test("a submission whose response was lost is sent again with its key", async () => {
  const { client, requests } = clientWith([new TypeError("fetch failed"), [200, OUTCOME]]);
  await client.submit("echo", null, { instance: "demo" });
  assert.equal(requests.length, 2);
  assert.equal(requests[0].headers["Idempotency-Key"], requests[1].headers["Idempotency-Key"]);
});

test("a retry whose response was lost is not sent again", async () => {
  const { client, requests } = clientWith([new TypeError("fetch failed")]);
  await assert.rejects(client.retry("t1", { fromStep: "draft" }), ConnectionFailed);
  assert.deepEqual(requests.map(({ body }) => body), [{ from_step: "draft" }]);
});

test("a request that the server postpones is sent again after the time that it names", async () => {
  const busy = [429, { code: "rate_limited" }, { "Retry-After": "0.01" }];
  const down = [503, { code: "unavailable" }, { "Retry-After": "0.01" }];
  const { client } = clientWith([busy, down, [200, { id: "t1" }]]);
  assert.deepEqual(await client.get("t1"), { id: "t1" });
});

test("a request that would have to wait longer than the time limit fails at once", async () => {
  const { client, requests } = clientWith([[429, { code: "rate_limited", detail: "slow down" }, { "Retry-After": "60" }]]);
  const fault = await client.get("t1").catch((error) => error);
  assert.ok(fault instanceof TooFast);
  assert.deepEqual([fault.message, fault.retryAfter, requests.length], ["slow down", 60, 1]);
});

for (const [status, kind] of [
  [400, InvalidInput],
  [401, Unauthenticated],
  [403, Forbidden],
  [404, NotFound],
  [409, Conflict],
  [410, ApiError],
  [422, InvalidInput],
  [500, ApiError],
  [502, Unavailable],
  [503, Unavailable],
  [504, Unavailable],
]) {
  test(`the status ${status} is the error ${kind.name}`, async () => {
    const errors = [{ field: "kind", message: "unknown" }];
    const { client } = clientWith([[status, { code: "c", detail: "kind: unknown", field: "kind", errors }]]);
    const fault = await client.cancel("t1").catch((error) => error);
    assert.equal(fault.constructor, kind);
    const { name, message, code, field } = fault;
    assert.deepEqual([name, message, code, field], [kind.name, "kind: unknown", "c", "kind"]);
    assert.deepEqual([fault.status, fault.errors], [status, errors]);
  });
}

test("a page in place of JSON is an error that says so", async () => {
  const failed = clientWith([[502, "<html>"]]);
  await assert.rejects(failed.client.get("t1"), (fault) => fault instanceof ApiError && fault.status === 502);
  const wrong = clientWith([[200, "<html>"]]);
  await assert.rejects(wrong.client.get("t1"), /is it a Swallowtail server/);
});

test("a response that does not come in time is an error", async () => {
  const { client } = clientWith(["silence"], { timeout: 10 });
  await assert.rejects(client.get("t1"), TimedOut);
});

test("a signal ends a request with its reason", async () => {
  const { client } = clientWith(["silence"]);
  const reason = new Error("enough");
  const controller = new AbortController();
  const request = client.get("t1", { signal: controller.signal });
  controller.abort(reason);
  await assert.rejects(request, reason);
});

test("a token is shown, and a function is asked for another one when the server refuses it", async () => {
  const tokens = ["old\n", "new"];
  const refused = [401, { code: "unauthenticated" }];
  const { client, requests } = clientWith([refused, [200, {}], [200, {}]], { token: async () => tokens.shift() });
  await client.get("t1");
  await client.get("t2");
  const shown = requests.map(({ headers }) => headers.Authorization);
  assert.deepEqual(shown, ["Bearer old", "Bearer new", "Bearer new"]);
  const plain = clientWith([refused], { token: "t" });
  await assert.rejects(plain.client.get("t1"), Unauthenticated);
  assert.equal(plain.requests[0].headers.Authorization, "Bearer t");
});

test("lists are read page by page, and no further than asked", async () => {
  const page = (ids, next) => [200, { items: ids.map((id) => ({ id })), next_cursor: next }];
  const { client, requests } = clientWith([page(["a", "b"], "c 1"), page(["c"], null)]);
  const ids = [];
  const filters = { status: "FAILED", since: new Date(0), limit: 3 };
  for await (const { id } of client.tasks("demo", filters)) ids.push(id);
  assert.deepEqual(ids, ["a", "b", "c"]);
  const urls = requests.map(({ url }) => url);
  assert.deepEqual(urls, [0, 1].map((at) => `/instances/demo/tasks?status=FAILED&since=1970-01-01T00%3A00%3A00.000Z${["", "&cursor=c+1"][at]}`));
});

test("no page is asked for that the limit does not need", async () => {
  for (const [limit, count] of [[0, 0], [1, 1], [2, 1], [3, 2], [4, 2]]) {
    const page = () => [200, { items: [{ id: "a" }, { id: "b" }], next_cursor: "c" }];
    const { client, requests } = clientWith([page(), page(), page()]);
    let seen = 0;
    for await (const _ of client.tasks("demo", { limit })) seen++;
    assert.deepEqual([seen, requests.length], [limit, count]);
  }
});

test("an address that is no URL of a server is an error at once", () => {
  for (const url of ["localhost:8000", "server", "", "null", "ws://server", "file:///server"]) {
    assert.throws(() => new Client(url), TypeError, url);
  }
  for (const url of ["http://server/", "https://server", "http://[::1]:8000/below/?x=1#y"]) {
    assert.equal(new Client(url).url, url.replace(/\/*(\?.*)?$/, ""));
  }
});

test("without a time limit, a refusal that names no time is not repeated", async () => {
  for (const status of [429, 503]) {
    const { client, requests } = clientWith([[status, { code: "rate_limited" }]], { timeout: Infinity });
    await assert.rejects(client.get("t1"), ApiError);
    assert.equal(requests.length, 1);
  }
});

test("the log is read up to its head", async () => {
  const page = (seqs, next) => [200, { items: seqs.map((seq) => ({ seq })), epoch: "e", head: 9, next_since: next }];
  const { client, requests } = clientWith([page([5, 6], 6), page([9], 9)]);
  const events = client.events("demo", 4, { task: "t1" });
  const seqs = [];
  let item = await events.next();
  for (; !item.done; item = await events.next()) seqs.push(item.value.seq);
  assert.deepEqual([seqs, item.value], [[5, 6, 9], { epoch: "e", seq: 9 }]);
  const urls = requests.map(({ url }) => url);
  assert.deepEqual(urls, [
    "/instances/demo/events?since=4&task_id=t1",
    "/instances/demo/events?since=6&epoch=e&task_id=t1",
  ]);
});

test("an agent is found by its kind", async () => {
  const { client } = clientWith([
    [200, { items: [{ kind: "echo", title: "Echo" }] }],
    [200, { items: [] }],
  ]);
  assert.equal((await client.agent("echo")).title, "Echo");
  await assert.rejects(client.agent("eco"), NotFound);
});
