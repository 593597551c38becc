const sampleRate = 8000
const headerBytes = 44

/** Makes a WAV file (8 kHz, 16 bit, one channel) of a sine that sounds 50 ms for each word. */
export function synthesise(wordCount: number): Buffer {
  const sampleCount = Math.max(1, Math.min(wordCount, 100)) * (sampleRate / 20)
  const wav = Buffer.alloc(headerBytes + sampleCount * 2)
  wav.write('RIFF', 0)
  wav.writeUInt32LE(wav.length - 8, 4)
  wav.write('WAVEfmt ', 8)
  wav.writeUInt32LE(16, 16)
  wav.writeUInt16LE(1, 20)
  wav.writeUInt16LE(1, 22)
  wav.writeUInt32LE(sampleRate, 24)
  wav.writeUInt32LE(sampleRate * 2, 28)
  wav.writeUInt16LE(2, 32)
  wav.writeUInt16LE(16, 34)
  wav.write('data', 36)
  wav.writeUInt32LE(sampleCount * 2, 40)
  for (let index = 0; index < sampleCount; index += 1) {
    const sample = Math.sin((2 * Math.PI * 440 * index) / sampleRate)
    wav.writeInt16LE(Math.round(sample * 8000), headerBytes + index * 2)
  }
  return wav
}
