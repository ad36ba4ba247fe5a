import { statusWord, type Status, type Tone } from '../words'

export function Pill({ tone, children }: { tone: Tone; children: string }) {
  return <span class={`pill ${tone}`}>{children}</span>
}

export function StatusPill({ status, attempts }: { status: Status; attempts: number }) {
  const { label, tone } = statusWord(status, attempts)
  return <Pill tone={tone}>{label}</Pill>
}

export function Code({ code }: { code: number | null | undefined }) {
  if (!code) return null
  const tone = code < 300 ? 'green' : code < 400 ? 'amber' : 'red'
  return <span class={`code ${tone}`}>{code}</span>
}
