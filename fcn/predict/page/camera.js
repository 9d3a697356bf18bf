// A picture from the camera, where the browser gives one: on this machine or over https.
export function camera(button, dialog, taken) {
  if (!navigator.mediaDevices?.getUserMedia) return;
  button.hidden = false;
  const video = dialog.querySelector('video');
  const wrong = document.querySelector('#wrong');
  let stream = null;
  button.addEventListener('click', async () => {
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: 'environment', width: { ideal: 1920 } } });
    } catch (error) {
      wrong.textContent = `The camera cannot be used: ${error.message}.`;
      return;
    }
    video.srcObject = stream;
    dialog.showModal();
  });
  dialog.querySelector('#take').addEventListener('click', () => {
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
    if (!canvas.width) return; // nothing has come yet
    canvas.getContext('2d').drawImage(video, 0, 0);
    const name = `camera-${new Date().toTimeString().slice(0, 8).replaceAll(':', '')}.jpg`;
    canvas.toBlob((blob) => taken(new File([blob], name)), 'image/jpeg', 0.95);
    dialog.close();
  });
  dialog.querySelector('#leave').addEventListener('click', () => dialog.close());
  dialog.addEventListener('close', () => stream?.getTracks().forEach((track) => track.stop()));
}
