// Where scenes come from: the page itself, or the server that sent it.

const CUT_SHORT = "This page is cut short: copy or make it again.";

class Embedded {
  constructor(element) {
    this.element = element;
  }

  async state() {
    return JSON.parse(this.element.textContent);
  }

  async header(scene, state) {
    return state.scenes[scene].header;
  }

  async chunk(scene, index) {
    const element = await arrived(`chunk-${scene}-${index}`), text = element.textContent;
    element.remove(); // it is large, and needed once
    return fromBase64(text).then(gunzip).catch(() => { throw new Error(CUT_SHORT); });
  }
}

/** An element that is here as a whole: chunks are drawn while the rest of the page still comes in. */
async function arrived(id) {
  for (;;) {
    const element = document.getElementById(id), whole = document.readyState !== "loading";
    if (element && (element.nextElementSibling || whole)) return element;
    if (whole) throw new Error(CUT_SHORT);
    await new Promise((again) => setTimeout(again, 10));
  }
}

class Served {
  async state(after) {
    return (await this._get(after === undefined ? "state" : `state?after=${after}`)).json();
  }

  async header(scene) {
    return (await this._get(`scene/${scene}`)).json();
  }

  async chunk(scene, index, version) {
    return gunzip(await (await this._get(`scene/${scene}/${index}?version=${version}`)).arrayBuffer());
  }

  async points() {
    return new Uint8Array(await (await this._get("points")).arrayBuffer());
  }

  async picture(wish) {
    const answer = await fetch("picture", { method: "POST", body: JSON.stringify(wish) });
    if (!answer.ok) throw new Error(await answer.text());
    return answer.blob();
  }

  async _get(path) {
    const answer = await fetch(path);
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
    return answer;
  }
}
