// Shows the service's schema in Swagger UI. The key, if one is asked for, stays in the page's memory.
const form = document.getElementById("access");
const key = document.getElementById("key");
const main = document.getElementById("swagger-ui");

const withKey = (request) => {
  if (key.value) request.headers = { ...request.headers, Authorization: `Bearer ${key.value}` };
  return request;
};

const show = async () => {
  const response = await fetch(main.dataset.schema, withKey({}));
  form.hidden = response.status !== 401;
  if (!response.ok) return;
  const spec = await response.json();
  document.title = spec.info.title;
  const predictsFirst = ([one], [other]) => other.startsWith("/predict") - one.startsWith("/predict");
  spec.paths = Object.fromEntries(Object.entries(spec.paths).sort(predictsFirst));
  const prefix = new URL(".", location.href).pathname.slice(0, -1); // of a proxy
  if (prefix) spec.servers = [{ url: prefix }];
  SwaggerUIBundle({
    spec,
    domNode: main,
    requestInterceptor: withKey,
    tryItOutEnabled: true,
    defaultModelsExpandDepth: 0,
    validatorUrl: null,
  });
};

form.onsubmit = (event) => {
  event.preventDefault();
  show();
};
show();
