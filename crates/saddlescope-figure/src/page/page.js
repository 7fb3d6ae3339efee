"use strict";
(function () {
  // What happened is written on the root element, for tests and for the curious:
  // data-plots (drawn), data-expected, data-errors, data-state.
  const root = document.documentElement;
  const report = { plots: 0, errors: 0 };
  function publish() {
    root.dataset.plots = String(report.plots);
    root.dataset.errors = String(report.errors);
  }
  function failed(where, error) {
    report.errors += 1;
    root.dataset.lastError = where + ": " + (error && error.message ? error.message : String(error));
    publish();
  }
  window.addEventListener("error", function (event) { failed("page", event.error || event.message); });
  window.addEventListener("unhandledrejection", function (event) { failed("page", event.reason); });
  document.addEventListener("securitypolicyviolation", function (event) {
    failed("policy", event.violatedDirective + " " + event.blockedURI);
  });

  const plots = JSON.parse(document.getElementById("plots").textContent);
  const places = Array.from(document.querySelectorAll("[data-plot]"));
  root.dataset.expected = String(places.length);
  root.dataset.state = "drawing";
  publish();

  // Nothing of the page may leave it: the button that uploads a chart is off, and has no address to send to.
  const config = { displaylogo: false, displayModeBar: "hover", responsive: true, scrollZoom: false,
    showSendToCloud: false, plotlyServerURL: "", showLink: false,
    modeBarButtonsToRemove: ["sendChartToCloud", "select2d", "lasso2d", "resetCameraLastSave3d", "tableRotation"] };

  function hasWebGl() {
    try {
      const context = document.createElement("canvas").getContext("webgl");
      if (!context) { return false; }
      const lose = context.getExtension("WEBGL_lose_context");
      if (lose) { lose.loseContext(); }
      return true;
    } catch (error) {
      return false;
    }
  }

  // Browsers keep only some WebGL contexts alive: the surface seen longest ago gives way.
  const MOST_SURFACES = 8;
  const live = [];

  function draw(place) {
    if (place.dataset.drawn) { return Promise.resolve(); }
    place.dataset.drawn = "yes";
    const space = place.classList.contains("space");
    if (space) {
      live.push(place);
      while (live.length > MOST_SURFACES) {
        const old = live.shift();
        Plotly.purge(old);
        delete old.dataset.drawn;
      }
    }
    const plot = plots[Number(place.dataset.plot)];
    return Plotly.newPlot(place, plot.data, plot.layout, config).then(function () {
      if (!place.dataset.counted) {
        place.dataset.counted = "yes";
        report.plots += 1;
        publish();
      }
    });
  }

  function pause() { return new Promise(function (resolve) { setTimeout(resolve, 0); }); }

  async function start() {
    const webGl = hasWebGl();
    root.dataset.webgl = webGl ? "yes" : "no";
    const spaces = [];
    let eager = 0;
    for (const place of places) {
      if (place.classList.contains("space")) {
        if (!webGl) {
          // The printable picture stands in for the whole figure.
          place.closest("figure").classList.add("fixed");
          continue;
        }
        spaces.push(place);
        eager += 1;
        if (eager > MOST_SURFACES) { continue; }
      }
      try {
        await draw(place);
      } catch (error) {
        failed("plot " + place.dataset.plot, error);
        place.closest("figure").classList.add("fixed");
      }
      await pause();
    }
    if (spaces.length > MOST_SURFACES) {
      const watch = new IntersectionObserver(function (entries) {
        for (const entry of entries) {
          if (!entry.isIntersecting) { continue; }
          const place = entry.target;
          draw(place).catch(function (error) { failed("plot " + place.dataset.plot, error); });
        }
      }, { rootMargin: "200px" });
      spaces.forEach(function (place) { watch.observe(place); });
    }
    root.dataset.state = "ready";
  }

  start().catch(function (error) { failed("start", error); });
})();
