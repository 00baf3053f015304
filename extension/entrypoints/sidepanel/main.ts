document.getElementById('panel')!.textContent = 'dualign';
