// Starts Scalar with the configuration that stands in the page.

// Zod, which the bundle contains, tries out `new Function` unless it is told to do without.
globalThis.__zod_globalConfig = { jitless: true };

const here = (path) => new URL(path, location.origin).href;

function completed(configuration) {
  for (const server of configuration.servers) server.url = here(server.url);
  for (const scheme of Object.values(configuration.authentication.securitySchemes)) {
    for (const flow of Object.values(scheme.flows ?? {})) flow.tokenUrl = here(flow.tokenUrl);
  }
  return configuration;
}

// Deferred scripts have all run by then, so the bundle is there.
document.addEventListener("DOMContentLoaded", () => {
  const written = document.getElementById("configuration").textContent;
  Scalar.createApiReference("#reference", completed(JSON.parse(written)));
});
