// The npm package `marathon-event-bus-client` listens to a Marathon and prints each event as a line of JSON.
//
//     NODE_PATH=node_modules node events.js HOST PORT [AUTHORIZATION]
//
// It ends when it has seen a deployment succeed.
"use strict";

const MarathonEventBusClient = require("marathon-event-bus-client");

const [host, port, authorization] = process.argv.slice(2);
const types = ["event_stream_attached", "deployment_info", "deployment_step_success", "deployment_success", "status_update_event"];
const handlers = {};
for (const type of types) {
  handlers[type] = (name, data) => {
    process.stdout.write(JSON.stringify({ name, data }) + "\n");
    if (name === "deployment_success") {
      client.unsubscribe();
      // The package closes its stream a moment later, and yet something keeps Node from ending.
      setTimeout(() => process.exit(0), 200);
    }
  };
}
const client = new MarathonEventBusClient({
  marathonHost: host,
  marathonPort: port,
  eventTypes: types,
  handlers,
  marathonHeaders: authorization ? { Authorization: authorization } : {},
});
client.on("error", (error) => process.stderr.write(JSON.stringify(error) + "\n"));
client.subscribe();
setTimeout(() => process.exit(2), 30000).unref();
