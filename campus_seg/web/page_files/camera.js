// ------------------------------------------------------------------------------------------ the camera
const REFUSED = {
  NotAllowedError: "The browser may not use the camera. Allow it in the browser's settings of this page.",
  NotFoundError: "There is no camera on this computer.",
  NotReadableError: "Another program uses the camera.",
};
let stream = null;

// A phone has an app for it, which a file input opens; a computer has not.
function wireCamera() {
  const phone = get("phone-camera");
  phone.addEventListener("change", () => {
    add(phone.files);
    phone.value = "";
  });
  get("camera").addEventListener("click", () => (matchMedia("(pointer: coarse)").matches ? phone.click() : openCamera()));
  get("take").addEventListener("click", takePhoto);
  get("close").addEventListener("click", () => get("shutter").close());
  get("shutter").addEventListener("close", closeCamera);
}

async function openCamera() {
  get("shutter").showModal();
  get("take").setAttribute("aria-disabled", true);
  get("live").hidden = true;
  get("shutter-told").textContent = "Waiting for the camera …";
  try {
    if (!navigator.mediaDevices) throw new DOMException("", "SecurityError");
    const video = { facingMode: "environment", width: { ideal: 1920 }, height: { ideal: 1440 } };
    const opened = await navigator.mediaDevices.getUserMedia({ video });
    if (!get("shutter").open) return opened.getTracks().forEach((track) => track.stop()); // closed meanwhile
    stream = opened;
    get("live").srcObject = stream;
    get("live").hidden = false;
    await get("live").play();
    get("shutter-told").textContent = "";
    get("take").setAttribute("aria-disabled", false);
    get("take").focus();
  } catch (error) {
    if (error.name === "AbortError") return undefined; // closed meanwhile
    get("shutter-told").textContent =
      REFUSED[error.name] ?? "The browser lets a page use the camera only on this computer itself or by https.";
  }
  return undefined;
}

function closeCamera() {
  stream?.getTracks().forEach((track) => track.stop());
  stream = null;
  get("live").srcObject = null;
}

function takePhoto() {
  const live = get("live");
  if (!stream || !live.videoWidth) return;
  const canvas = Object.assign(make("canvas"), { width: live.videoWidth, height: live.videoHeight });
  canvas.getContext("2d").drawImage(live, 0, 0);
  const time = new Date().toTimeString().slice(0, 8).replaceAll(":", ".");
  canvas.toBlob((blob) => {
    get("shutter").close();
    add([new File([blob], `camera ${time}.jpg`, { type: "image/jpeg" })]);
  }, "image/jpeg", 0.95);
}
