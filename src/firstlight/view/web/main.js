const embedded = document.querySelector("#state");
const firstlight = new App(embedded ? new Embedded(embedded) : new Served());
window.firstlight = firstlight; // for scripts and tests
firstlight.start().catch((error) => say(error.message));
