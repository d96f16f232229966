// The server under Node's `openai` package and Node's own fetch: what JavaScript clients send and expect.
//
//     npm install --prefix DIR openai
//     AUTOGLM=build/release/bin/autoglm MODELS=build/release/golden PACKAGES=DIR node --test tests/serve/clients.test.mjs
//
// Node 18 and later, with a version of the package that runs there.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, before, describe, test } from "node:test";

const OpenAI = createRequire(join(resolve(process.env.PACKAGES), "packages.cjs"))("openai");
const MODELS = resolve(process.env.MODELS);
const LIMIT = 120000; // for anything that is waited for
const HELLO = [{ role: "user", content: "Hello, who are you?" }];
const TOOLS = ["add", "sub"].map((name) => ({
  type: "function",
  function: {
    name,
    description: "Calculate.",
    parameters: {
      type: "object", properties: { n: { type: "integer", minimum: 0, maximum: 9 } }, required: ["n"], additionalProperties: false,
    },
  },
}));

class Server {
  async start(config) {
    this.folder = mkdtempSync(join(tmpdir(), "autoglm-node-"));
    const path = join(this.folder, "config.yml");
    writeFileSync(join(this.folder, "keys"), "alice sk-alice\n");
    writeFileSync(path, config.replaceAll("FOLDER", this.folder).replaceAll("MODELS", MODELS));
    this.said = "";
    this.process = spawn(resolve(process.env.AUTOGLM), ["serve", "--config", path], { stdio: ["ignore", "pipe", "pipe"] });
    this.ended = new Promise((done) => this.process.on("exit", (code, signal) => done(signal ?? code)));
    for (const stream of [this.process.stdout, this.process.stderr]) stream.on("data", (data) => (this.said += data));
    await this.until(() => this.said.includes("try: "));
    this.url = `http://127.0.0.1:${/listening on http:\/\/127\.0\.0\.1:(\d+)/.exec(this.said)[1]}`;
    return this;
  }

  async until(holds) {
    for (const end = Date.now() + LIMIT; !(await holds()); await new Promise((done) => setTimeout(done, 20)))
      if (Date.now() > end || this.process.exitCode !== null) throw new Error(`waited in vain: ${this.said}`);
  }

  client(more) {
    return new OpenAI({ baseURL: `${this.url}/v1`, apiKey: "EMPTY", maxRetries: 0, ...more });
  }

  async metric(name) {
    const text = await (await fetch(`${this.url}/metrics`)).text();
    return text.split("\n").filter((line) => line.startsWith(name)).reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0);
  }

  async stop() {
    this.process.kill("SIGTERM");
    const how = await this.ended;
    rmSync(this.folder, { recursive: true });
    assert.equal(how, 0, this.said);
  }
}

describe("a server that everybody may ask", () => {
  const server = new Server();
  let client;
  before(async () => {
    await server.start(`
server: {listen: "127.0.0.1:0"}
engine: {threads: 2}
models:
  - {name: tiny, path: MODELS/tiny-llama3-q4_k.gguf, aliases: [gpt-4o], context: 2048, sequences: 2}
  - {name: embed, path: MODELS/tiny-bert-f32.gguf}
  - {name: lazy, path: MODELS/tiny-smollm2-q8_0.gguf, context: 512, load: lazy}
`);
    client = server.client();
  });
  after(() => server.stop());

  const chat = (more, options) =>
    client.chat.completions.create({ model: "tiny", messages: HELLO, temperature: 0, max_tokens: 16, ...more }, options);

  test("a chat has what the package's types promise", async () => {
    const { data, response, request_id } = await client.chat.completions
      .create({ model: "gpt-4o", messages: HELLO, max_completion_tokens: 8, user: "me", store: false }).withResponse();
    assert.equal(data.object, "chat.completion");
    assert.equal(data._request_id, request_id);
    assert.equal(data.id, `chatcmpl-${request_id}`);
    assert.equal(response.headers.get("x-ignored-params"), "store");
    const [choice] = data.choices;
    assert.equal(choice.message.role, "assistant");
    assert.equal(choice.message.refusal, null);
    assert.equal(typeof choice.message.content, "string");
    assert.ok(["stop", "length"].includes(choice.finish_reason));
    assert.equal(data.usage.total_tokens, data.usage.prompt_tokens + data.usage.completion_tokens);
  });

  test("a stream put together is the whole answer", async () => {
    const whole = await chat();
    let text = "", usage = null, finished = 0;
    for await (const chunk of await chat({ stream: true, stream_options: { include_usage: true } })) {
      text += chunk.choices[0]?.delta?.content ?? "";
      finished += chunk.choices[0]?.finish_reason ? 1 : 0;
      usage = chunk.usage ?? usage;
    }
    assert.equal(text, whole.choices[0].message.content);
    assert.equal(finished, 1);
    assert.equal(usage.completion_tokens, whole.usage.completion_tokens);
  });

  test("the package's own accumulator reads streams", async () => {
    for (const n of [1, 2]) {
      const request = { model: "tiny", messages: HELLO, max_tokens: 16, n, seed: 3, temperature: 1 };
      const texts = (await client.chat.completions.create(request)).choices.map((c) => c.message.content);
      const stream = client.chat.completions.stream(request);
      let heard = "";
      stream.on("content", (delta) => (heard += delta)); // of all choices
      const final = await stream.finalChatCompletion();
      assert.deepEqual(final.choices.map((c) => c.message.content), texts);
      assert.equal(heard.length, texts.join("").length);
    }
  });

  test("calls are forced, whole and streamed", async () => {
    for (const tool_choice of ["required", { type: "function", function: { name: "sub" } }]) {
      const request = { model: "tiny", messages: HELLO, tools: TOOLS, tool_choice, parallel_tool_calls: false, seed: 3, temperature: 1.2, max_tokens: 300 };
      const whole = (await client.chat.completions.create(request)).choices[0];
      const streamed = (await client.chat.completions.stream(request).finalChatCompletion()).choices[0];
      for (const choice of [whole, streamed]) {
        const [call] = choice.message.tool_calls;
        assert.equal(choice.finish_reason, "tool_calls");
        assert.ok((tool_choice === "required" ? ["add", "sub"] : ["sub"]).includes(call.function.name));
        const { n } = JSON.parse(call.function.arguments);
        assert.ok(Number.isInteger(n) && n >= 0 && n <= 9);
        assert.equal(call.type, "function");
        assert.ok(call.id);
      }
      assert.deepEqual(streamed.message.tool_calls[0].function.arguments, whole.message.tool_calls[0].function.arguments);
    }
    const none = await chat({ tools: TOOLS, tool_choice: "none" });
    assert.deepEqual(none.choices, (await chat()).choices);
  });

  test("the result of a call goes back into the conversation", async () => {
    const asked = (await chat({ tools: TOOLS, tool_choice: "required", max_tokens: 300 })).choices[0].message;
    const messages = [...HELLO, asked, { role: "tool", tool_call_id: asked.tool_calls[0].id, content: "4" }];
    assert.equal(typeof (await chat({ messages, tools: TOOLS, max_tokens: 4 })).choices[0].finish_reason, "string");
  });

  test("a strict schema is held to", async () => {
    const schema = {
      type: "object", properties: { name: { enum: ["x", "y"] }, size: { type: "integer", minimum: 3, maximum: 7 } },
      required: ["name", "size"], additionalProperties: false,
    };
    const format = { type: "json_schema", json_schema: { name: "thing", strict: true, schema } };
    const request = { model: "tiny", messages: HELLO, response_format: format, temperature: 1.5, seed: 5, max_tokens: 200 };
    const values = [
      JSON.parse((await client.chat.completions.create(request)).choices[0].message.content),
      JSON.parse((await client.chat.completions.stream(request).finalMessage()).content),
    ];
    for (const value of values) {
      assert.deepEqual(Object.keys(value).sort(), ["name", "size"]);
      assert.ok(["x", "y"].includes(value.name) && value.size >= 3 && value.size <= 7);
    }
    assert.deepEqual(values[0], values[1]);
  });

  test("log-probabilities come with bytes and candidates", async () => {
    const { content } = (await chat({ logprobs: true, top_logprobs: 3 })).choices[0].logprobs;
    const streamed = [];
    for await (const chunk of await chat({ logprobs: true, top_logprobs: 3, stream: true }))
      streamed.push(...(chunk.choices[0]?.logprobs?.content ?? []));
    assert.deepEqual(streamed, content);
    for (const entry of content) {
      assert.equal(entry.top_logprobs.length, 3);
      assert.equal(entry.logprob, entry.top_logprobs[0].logprob);
      assert.ok(entry.bytes.every((b) => Number.isInteger(b) && b >= 0 && b < 256));
    }
  });

  test("completions, whole and streamed", async () => {
    const request = { model: "tiny", prompt: ["Once", "Twice"], max_tokens: 5, temperature: 0, logprobs: 1 };
    const whole = await client.completions.create(request);
    const texts = ["", ""];
    for await (const chunk of await client.completions.create({ ...request, stream: true }))
      texts[chunk.choices[0].index] += chunk.choices[0].text;
    assert.deepEqual(texts, whole.choices.map((c) => c.text));
    assert.equal(whole.choices[0].logprobs.tokens.length, whole.choices[0].logprobs.token_logprobs.length);
  });

  test("vectors are base64 unless floats are asked for", async () => {
    const packed = await client.embeddings.create({ model: "embed", input: ["hello", "world"] });
    const plain = await client.embeddings.create({ model: "embed", input: "hello", encoding_format: "float" });
    assert.equal(packed.data.length, 2);
    assert.equal(packed.data[0].embedding.length, plain.data[0].embedding.length);
    plain.data[0].embedding.forEach((x, i) => assert.ok(Math.abs(x - packed.data[0].embedding[i]) < 1e-6));
    assert.ok(packed.usage.prompt_tokens > 0);
  });

  test("models are listed and looked up", async () => {
    const ids = [];
    for await (const model of client.models.list()) ids.push(model.id);
    assert.deepEqual(ids, ["tiny", "gpt-4o", "embed", "lazy"]);
    assert.equal((await client.models.retrieve("gpt-4o")).root, "tiny");
    await assert.rejects(client.models.retrieve("gpt-5"), (e) => e instanceof OpenAI.NotFoundError && e.code === "model_not_found");
  });

  test("mistakes are the package's own errors", async () => {
    await assert.rejects(chat({ temperature: -1 }), (e) =>
      e instanceof OpenAI.BadRequestError && e.status === 400 && e.param === "temperature" &&
      e.type === "invalid_request_error" && e.code === "invalid_argument" && Boolean(e.requestID));
    await assert.rejects(chat({ model: "gpt-5" }), (e) => e instanceof OpenAI.NotFoundError && e.param === "model");
    await assert.rejects(chat({ messages: [{ role: "user", content: "word ".repeat(5000) }] }), (e) =>
      e instanceof OpenAI.BadRequestError && e.code === "context_length_exceeded");
    // A stream's head waits for the first token, so that an error is one there too.
    await assert.rejects(chat({ stream: true, response_format: { type: "xml" } }), OpenAI.BadRequestError);
  });

  test("what is not ready yet is tried again as the headers say", async () => {
    const request = { model: "lazy", messages: HELLO, max_tokens: 2 };
    await assert.rejects(server.client().chat.completions.create(request), (e) =>
      e instanceof OpenAI.InternalServerError && e.status === 503 && e.code === "model_not_ready" &&
      Number(e.headers.get("retry-after-ms")) > 0 && Number(e.headers.get("retry-after")) >= 1 &&
      e.headers.get("x-should-retry") === "true");
    const answer = await server.client({ maxRetries: 20 }).chat.completions.create(request);
    assert.equal(answer.model, "lazy");
  });

  test("leaving a stream frees its place", async () => {
    const endless = { stream: true, max_tokens: 2000, ignore_eos: true };
    const streams = await Promise.all([1, 2].map(() => chat(endless)));
    for (const stream of streams)
      for await (const chunk of stream) if (chunk.choices[0].delta.content) break; // which aborts the request
    const controller = new AbortController();
    const third = await chat(endless, { signal: controller.signal });
    let seen = 0;
    for await (const _ of third) if (++seen === 3) controller.abort();
    assert.ok(seen >= 3 && seen < 2000);
    await server.until(async () => (await server.metric("autoglm_sequences_running")) === 0);
    assert.equal((await chat({ max_tokens: 1 })).usage.completion_tokens, 1);
    assert.equal(await server.metric('autoglm_requests_finished_total{model="tiny",outcome="aborted"}'), 3);
  });

  test("bodies of unknown length are taken", async () => {
    const pieces = JSON.stringify({ model: "tiny", messages: HELLO, max_tokens: 2 }).match(/.{1,20}/gs);
    const body = new ReadableStream({
      pull(c) {
        if (pieces.length) c.enqueue(new TextEncoder().encode(pieces.shift()));
        else c.close();
      },
    });
    const answer = await fetch(`${server.url}/v1/chat/completions`, {
      method: "POST", headers: { "content-type": "application/json" }, body, duplex: "half",
    });
    assert.equal(answer.status, 200);
    assert.equal((await answer.json()).object, "chat.completion");
  });
});

describe("a server with keys", () => {
  const server = new Server();
  before(() => server.start(`
server: {listen: "127.0.0.1:0", api_key_file: FOLDER/keys}
models:
  - {name: tiny, path: MODELS/tiny-llama3-q4_k.gguf, context: 512}
`));
  after(() => server.stop());

  test("only those who have one are answered", async () => {
    await assert.rejects(server.client().models.list(), (e) => e instanceof OpenAI.AuthenticationError && e.code === "invalid_api_key");
    const answer = await server.client({ apiKey: "sk-alice" }).chat.completions.create({ model: "tiny", messages: HELLO, max_tokens: 1 });
    assert.equal(answer.choices.length, 1);
  });
});
