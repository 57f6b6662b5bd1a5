// A page that uses OpenFeature's web provider, without the page. It is told what to do in lines of
// JSON on standard input, and tells in such lines what happens.
import { createInterface } from "node:readline";
import { OpenFeature, ProviderEvents } from "@openfeature/web-sdk";
import { OFREPWebProvider } from "@openfeature/ofrep-web-provider";
import { EventSource } from "eventsource";

const tell = (line) => process.stdout.write(JSON.stringify(line) + "\n");

// What browsers have and Node.js does not.
const kept = new Map();
globalThis.localStorage = {
  getItem: (key) => kept.get(key) ?? null,
  setItem: (key, value) => kept.set(key, value),
  removeItem: (key) => kept.delete(key),
};
globalThis.EventSource = class extends EventSource {
  constructor(url) {
    super(url);
    this.addEventListener("open", () => tell({ stream: "open" }));
    this.addEventListener("error", (error) => tell({ stream: "error", status: error.code ?? 0 }));
    this.addEventListener("message", (event) => tell({ stream: JSON.parse(event.data).type }));
  }
};

const fetchAndTell = async (request, options) => {
  const response = await fetch(request, options);
  tell({ fetched: response.status });
  return response;
};

const events = {
  [ProviderEvents.ConfigurationChanged]: "changed",
  [ProviderEvents.Stale]: "stale",
  [ProviderEvents.Error]: "error",
};
for (const [event, name] of Object.entries(events)) {
  OpenFeature.addHandler(event, (details) => tell({ event: name, flags: details?.flagsChanged }));
}

const client = OpenFeature.getClient();
const kinds = {
  boolean: (key, otherwise) => client.getBooleanDetails(key, otherwise),
  number: (key, otherwise) => client.getNumberDetails(key, otherwise),
  string: (key, otherwise) => client.getStringDetails(key, otherwise),
  object: (key, otherwise) => client.getObjectDetails(key, otherwise),
};
const actions = {
  start: async ({ base, context, options }) => {
    const query = new URLSearchParams(options?.query ?? {});
    const provider = new OFREPWebProvider({
      ...options, baseUrl: base, query, fetchImplementation: fetchAndTell,
    });
    await OpenFeature.setProviderAndWait(provider, context);
  },
  context: async ({ context }) => await OpenFeature.setContext(context),
  details: async ({ key, otherwise }) => kinds[typeof otherwise](key, otherwise),
  stop: async () => await OpenFeature.clearProviders(),
};

for await (const line of createInterface({ input: process.stdin })) {
  const asked = JSON.parse(line);
  try {
    tell({ done: asked.id, result: (await actions[asked.action](asked)) ?? null });
  } catch (error) {
    tell({ done: asked.id, failed: `${error.name}: ${error.message}` });
  }
}
await OpenFeature.close();
