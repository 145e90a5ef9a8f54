/** A fake server for whole clients: REST answers by path, and sockets at which the test says what the server says. */

import { Client } from "../../clients/javascript/index.js";
import { FakeSocket, until } from "./fake_socket.mjs";

/** A client of a server with these answers: `{"/tasks/t": body or function of the URL's parameters}`. */
export function makeServer(answers = {}, options = {}) {
  const sockets = [];
  const requests = [];
  const fetch = async (address) => {
    const { pathname, searchParams } = new URL(address);
    const path = pathname.replace("/api/v1", "");
    requests.push(path);
    const answer = typeof answers[path] === "function" ? answers[path](searchParams) : answers[path];
    const isProblem = typeof answer?.status === "number";
    const [status, body] = isProblem ? [answer.status, answer] : [answer ? 200 : 404, answer ?? { code: "not_found" }];
    return new Response(JSON.stringify(body), { status });
  };
  const io = (...address) => sockets[sockets.push(new FakeSocket(...address)) - 1];
  const client = new Client("http://server", { fetch, io, ...options });
  /** The newest socket, once it has sent its subscription; the test answers that. */
  const subscribed = async (count = 1) => {
    await until(() => sockets.length === count && sockets.at(-1).sent.length > 0);
    return sockets.at(-1);
  };
  return { client, answers, requests, sockets, subscribed };
}

export const task = (more = {}) => ({ id: "t", instance_id: "i", kind: "k", status: "IN_PROGRESS", last_seq: 2, ...more });
export const page = (items, head) => ({ items, epoch: "a", head, min_seq: 0, next_since: head });
export const step = (seq, data) => ({
  ...{ instance_id: "i", task_id: "t", type: "execution_step", attempt: 1, epoch: "a", seq },
  data: { step_id: "s", status: "in_progress", position: 1, progress: 10, ...data },
});
