/** Runs the cases of client_rule.json through the JavaScript client's rule and prints what came out, as JSON. */

import { readFileSync } from "node:fs";

import { LogPosition, StepTexts } from "../../clients/javascript/log_position.js";

const { positions, texts } = JSON.parse(readFileSync(new URL("client_rule.json", import.meta.url)));

function place([seq, epoch = "a"]) {
  return { seq, epoch };
}

function event(step) {
  const base = { task_id: "t", type: "task_update", attempt: 1, data: { status: step.status } };
  if (step.take) return { ...base, ...place(step.take) };
  if (step.live) return { ...base, attempt: step.live[0], rev: step.live[1] };
  return { task_id: "t", type: "task_update", data: {}, name: step.plain };
}

function name(applied) {
  return applied.name ?? applied.seq ?? `${applied.attempt}/${applied.rev}`;
}

function play(position, step) {
  if (step.asked) position.ask();
  else if (step.answer) {
    const [mode, head, epoch = "a"] = step.answer;
    return position.receiveAnswer({ mode, head, epoch });
  } else if (step.skip) {
    const [after, seq, epoch = "a"] = step.skip;
    return position.receiveSkip({ after, seq, epoch });
  } else if (step.head) return { apply: [], ask: position.receiveHead(place(step.head)) };
  else return position.receive(event(step));
  return { apply: [], ask: false };
}

const played = positions.map(({ since, snapshot, steps }) => {
  const position = new LogPosition(since ? place(since) : null, snapshot ?? false);
  const results = steps.map((step) => {
    const { apply, ask } = play(position, step);
    return { apply: apply.map(name), ask };
  });
  return { results, last: position.last && [position.last.seq, position.last.epoch], settled: position.settled };
});

const joined = texts.map(({ pieces }) => {
  const streams = new StepTexts();
  return pieces.map(([attempt, offset, text]) => {
    const stream = streams.add({ step_id: "s", attempt, offset, text });
    return stream && [stream.text, stream.start];
  });
});

console.log(JSON.stringify({ positions: played, texts: joined }));
