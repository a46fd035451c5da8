"use strict";

window.addEventListener("load", () => {
  SwaggerUIBundle({
    url: "/docs/openapi.json",
    dom_id: "#docs",
    deepLinking: true,
    defaultModelsExpandDepth: 0,
    tryItOutEnabled: true,
    // Swagger's public validator would be asked otherwise; this page must work without the internet.
    validatorUrl: null,
  });
});
