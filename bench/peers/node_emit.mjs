// Emits through @socket.io/redis-emitter at a rate, with the same marks as bench/emit.py.
import { createClient } from "redis";
import { Emitter } from "@socket.io/redis-emitter";

const [low, high, rate, count, first, streams] = process.argv.slice(2).map(Number);
const client = createClient({ url: process.env.BENCH_REDIS });
await client.connect();
const emitter = new Emitter(client);
const filler = JSON.parse(process.env.BENCH_PAYLOAD);
const now = () => BigInt(Math.round((performance.timeOrigin + performance.now()) * 1000)) * 1000n;

function send(number) {
  for (let room = low; room < high; room += 1) {
    const payload = { ...filler, instance_id: `room-${room}`, data: { ...filler.data, message: `@${number}:${now()}@` } };
    if (streams) client.publish("bench-emit", JSON.stringify({ room: `room-${room}`, event: "task_update", payload }));
    else emitter.to(`room-${room}`).emit("task_update", payload);
  }
}

console.log("ready");
await new Promise((resolve) => process.stdin.once("data", resolve));
process.stdin.unref();
const used = process.cpuUsage();
const began = performance.now();
for (let sent = 0; sent < count; ) {
  const due = rate > 0 ? Math.min(count, Math.floor(((performance.now() - began) / 1000) * rate) + 1) : Math.min(count, sent + 100);
  while (sent < due) send(first + sent++);
  await new Promise((resolve) => setTimeout(resolve, rate > 0 ? 1 : 0));
}
await client.quit();
const { user, system } = process.cpuUsage(used);
console.log(JSON.stringify({ cpu_s: (user + system) / 1e6 }));
