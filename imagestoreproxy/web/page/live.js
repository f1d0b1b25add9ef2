// Listens to the proxy's stream of changes, and comes again by itself when it breaks off.

const FIRST_WAIT_MS = 1000;
const LONGEST_WAIT_MS = 30_000;
const HIDDEN_MS = 60_000;

/**
 * One stream at a time. The browser's own way of coming again gives up at the first refusal, and
 * knows no longer and longer waits: so each try is a new EventSource of ours.
 */
export class Live {
  /**
   * @param {object} told states(answer), state(one); lost() and back() of the connection;
   *   check(), asked before each new try: whether to go on trying.
   */
  constructor(told) {
    this._told = told;
    this._source = null;
    this._timer = 0;
    this._tries = 0;
    this._isOn = false;
    this._wasLost = false;
    // A browser gives a site six connections: pages that nobody looks at leave theirs to others.
    document.addEventListener("visibilitychange", () => this._visibility());
    addEventListener("online", () => this._hurry());
  }

  start() {
    this._isOn = true;
    this._tries = 0;
    this._wasLost = false;
    this._open();
  }

  stop() {
    this._isOn = false;
    this._close();
    if (this._wasLost) this._told.back(false);
    this._wasLost = false;
  }

  _open() {
    this._close();
    const source = new EventSource("/api/events");
    this._source = source;
    source.addEventListener("states", (event) => {
      this._tries = 0;
      this._told.states(JSON.parse(event.data));
      if (this._wasLost) {
        this._wasLost = false;
        this._told.back(true);
      }
    });
    source.addEventListener("state", (event) => this._told.state(JSON.parse(event.data)));
    source.onerror = () => this._again();
  }

  _close() {
    clearTimeout(this._timer);
    this._source?.close();
    this._source = null;
  }

  _again() {
    this._close();
    if (!this._isOn) return;
    if (!this._wasLost) {
      this._wasLost = true;
      this._told.lost();
    }
    // Some chance in it, so that many pages do not all come at the same moment.
    const wait = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** this._tries);
    this._tries += 1;
    this._timer = setTimeout(() => this._try(), wait * (0.75 + Math.random() / 2));
  }

  async _try() {
    const goOn = await this._told.check();
    if (!this._isOn) return;
    if (goOn) this._open();
    else this._again();
  }

  _hurry() {
    if (!this._isOn || this._source) return;
    clearTimeout(this._timer);
    this._tries = 0;
    this._try();
  }

  _visibility() {
    if (!this._isOn) return;
    if (document.hidden) {
      clearTimeout(this._hiding);
      this._hiding = setTimeout(() => {
        this._close();
        this._wasLost = true;
      }, HIDDEN_MS);
      return;
    }
    clearTimeout(this._hiding);
    this._hurry();
  }
}
