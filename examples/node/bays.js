// Calls a conductor with nothing but an AMQP client: plain objects, JSON or MessagePack.
//
//     npm ci
//     export TRANSPORT_URL=amqp://guest:guest@127.0.0.1:5672/%2f
//     export CONTEXT='{"auth_token": "...", "project_id": "...", "user_id": "..."}'
//     node bays.js [--msgpack] model IMAGE FLAVOR NETWORK   creates a bay model and prints its uuid
//     node bays.js [--msgpack] create NAME MODEL NODES      creates a bay and waits until it is there
//     node bays.js [--msgpack] show BAY                     prints a bay, or why there is none
//     node bays.js [--msgpack] delete BAY                   deletes it by a cast and waits for the notification
'use strict';

const { randomUUID } = require('node:crypto');
const amqp = require('amqplib');
const msgpack = require('@msgpack/msgpack');

const { EXCHANGE = 'magnum', TOPIC = 'magnum-conductor', TRANSPORT_URL, CONTEXT = '{}' } = process.env;
const MSGPACK = 'application/x-msgpack';
// While a call runs, the conductor gives a sign of life twice in this many seconds.
const MONITOR = 10;

// What the conductor says when it refuses: `kind` is the class of the exception.
class Failure extends Error {
  constructor(failure) {
    super(`${failure.class}: ${failure.message}`);
    this.kind = failure.class;
  }
}

const id = () => randomUUID().replaceAll('-', '');

class Conductor {
  static async connect(url, context, packed) {
    const conductor = new Conductor();
    conductor.packed = packed;
    conductor.context = Object.fromEntries(Object.entries(context).map(([key, value]) => [`_context_${key}`, value]));
    conductor.waiting = new Set();
    conductor.connection = await amqp.connect(url);
    conductor.channel = await conductor.connection.createConfirmChannel();
    // A request that no conductor would get is an error at once, not a timeout.
    conductor.channel.on('return', () => conductor.tell(new Error('no conductor is listening')));
    // One queue for replies and for the notifications that are asked for; it goes when we go.
    conductor.queue = `reply_${id()}`;
    await conductor.channel.assertQueue(conductor.queue, { exclusive: true });
    await conductor.channel.consume(conductor.queue, (delivery) => conductor.tell(read(delivery)), { noAck: true });
    return conductor;
  }

  // Sends a request and waits for its reply, as long as there are signs of life.
  async call(method, args) {
    const call = id();
    const reply = this.expect((message) => {
      if (message._msg_id !== call) return undefined;
      if (message.failure) throw new Failure(JSON.parse(message.failure));
      if (message.ending) return { result: message.result };
      console.error('still at it ...');
      return undefined;
    });
    const sent = this.send(method, args, { _msg_id: call, _reply_q: this.queue, _timeout: MONITOR });
    const [{ result }] = await Promise.all([reply, sent]);
    return result;
  }

  // Sends a request that is not answered; resolves with the notification of its result, sent to our queue.
  async cast(method, args, event) {
    const told = this.expect((message) => (message.event_type === event ? message : undefined));
    const sent = this.send(method, { ...args, notify_queue: this.queue });
    const [notification] = await Promise.all([told, sent]);
    return notification;
  }

  async send(method, args, more = {}) {
    // `_unique_id` makes a repeat harmless: send the same message again when you do not know whether it got there.
    const message = { method, args, _unique_id: id(), ...this.context, ...more };
    const body = this.packed ? Buffer.from(msgpack.encode(message)) : Buffer.from(JSON.stringify(message));
    const contentType = this.packed ? MSGPACK : 'application/json';
    this.channel.publish(EXCHANGE, TOPIC, body, { contentType, persistent: true, mandatory: true });
    await this.channel.waitForConfirms();
  }

  // Resolves with what `judge` makes of a message, rejects with what it throws or when nothing comes for long.
  expect(judge) {
    return new Promise((resolve, reject) => {
      const end = (settle, value) => {
        clearTimeout(timer);
        this.waiting.delete(hear);
        settle(value);
      };
      const silent = () => end(reject, new Error('the conductor gives no sign of life'));
      let timer = setTimeout(silent, 3000 * MONITOR);
      const hear = (message) => {
        clearTimeout(timer);
        timer = setTimeout(silent, 3000 * MONITOR);
        try {
          if (message instanceof Error) throw message;
          const found = judge(message);
          if (found !== undefined) end(resolve, found);
        } catch (error) {
          end(reject, error);
        }
      };
      this.waiting.add(hear);
    });
  }

  tell(message) {
    for (const hear of [...this.waiting]) hear(message);
  }
}

function read({ properties, content }) {
  const packed = properties.contentType === MSGPACK;
  const message = (packed ? msgpack.decode(content) : JSON.parse(content.toString()))['oslo.message'];
  return typeof message === 'string' ? JSON.parse(message) : message;
}

// The fields of an object: it is answered with its name and version around them.
const fields = (bay) => bay['magnum_object.data'];

const commands = {
  async model(conductor, image, flavor, network) {
    const objinst = {
      name: 'mesos', coe: 'mesos', cluster_distro: 'ubuntu', server_type: 'vm', image_id: image,
      flavor_id: flavor, master_flavor_id: flavor, keypair_id: 'testkey', external_network_id: network,
      dns_nameserver: '8.8.8.8',
    };
    const args = { objname: 'BayModel', objinst, objmethod: 'create', args: [], kwargs: {} };
    const [changed] = await conductor.call('object_action', args);
    return changed.uuid;
  },

  async create(conductor, name, model, nodes) {
    const bay = { name, baymodel_id: model, node_count: Number(nodes) };
    return fields(await conductor.call('bay_create', { bay, wait: true }));
  },

  async show(conductor, bay) {
    const args = { objname: 'Bay', objmethod: 'get_by_uuid', objver: null, args: [bay], kwargs: {} };
    try {
      return fields(await conductor.call('object_class_action', args));
    } catch (error) {
      if (error.kind === 'BayNotFound') return null;
      throw error;
    }
  },

  async delete(conductor, bay) {
    const { payload } = await conductor.cast('bay_delete', { uuid: bay }, 'magnum.cluster.delete');
    return { bay: payload.target.id, outcome: payload.outcome };
  },
};

async function main(given) {
  const [command, ...rest] = given.filter((argument) => argument !== '--msgpack');
  const conductor = await Conductor.connect(TRANSPORT_URL, JSON.parse(CONTEXT), given.includes('--msgpack'));
  try {
    console.log(JSON.stringify(await commands[command](conductor, ...rest)));
  } finally {
    await conductor.connection.close();
  }
}

main(process.argv.slice(2)).catch((error) => {
  console.error(error.message);
  process.exitCode = 1;
});
