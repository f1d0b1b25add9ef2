// Addresses behind the "#": #/store?q=..&section=.., #/image/ID, #/installed, ...

let lastStore = "#/store";

/** Read an address; anything unknown is the store. */
export function parse(hash) {
  const [path, query = ""] = hash.replace(/^#\/?/, "").split("?");
  const [name, id = ""] = path.split("/");
  return { name: name || "store", id, params: new URLSearchParams(query) };
}

/** Write an address. */
export function address(name, params = {}) {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(params)) if (value) query.set(key, value);
  return `#/${name}${query.size ? `?${query}` : ""}`;
}

/** Change the address without going anywhere: a search that is being typed. */
export function rewrite(hash) {
  history.replaceState(history.state, "", hash);
}

/** Give the address of the store as it was seen last: its search and section. */
export function storeAddress() {
  return lastStore;
}

/** Remember how the store was seen. */
export function rememberStore(hash) {
  lastStore = hash;
}
