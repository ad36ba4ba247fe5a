// A secret that is shown once, and what a receiver does with it.
import { useState } from 'preact/hooks'
import { Icon } from '../../ui/icons'
import { copy } from '../../ui/moment'
import { Once } from '../../ui/once'
import { snippets } from './snippets'

export function NewSecret({ secret }: { secret: string }) {
  return (
    <div class="why amber">
      <Icon name="warn" />
      <div class="secret-box">
        <strong>Copy the secret now. It is not shown again.</strong>
        <p>The receiver needs it to verify what comes. Keep it where it keeps its other secrets.</p>
        <Once label="Secret" text={secret} />
      </div>
    </div>
  )
}

/** Ends what is shown once. */
export function Taken({ close }: { close: () => void }) {
  return (
    <footer class="dialog-foot">
      <button type="button" class="button primary" onClick={close}>
        I have it
      </button>
    </footer>
  )
}

/** `secret` where it is known, to show the right form. */
export function Verification({ secret }: { secret?: string }) {
  const [at, setAt] = useState(0)
  const all = snippets(secret !== undefined && !secret.startsWith('whsec_'))
  const shown = all[at]
  if (!shown) return null
  return (
    <section class="verification">
      <h2>Verify in the receiver</h2>
      <p class="faint">Every request is signed as Standard Webhooks says, so a library does it. The secret is in the environment, as WEBHOOK_SECRET.</p>
      <div class="segments languages" role="group" aria-label="Language">
        {all.map(({ name }, index) => (
          <button key={name} type="button" aria-pressed={index === at} onClick={() => setAt(index)}>
            {name}
          </button>
        ))}
      </div>
      <Code text={shown.install} label="Install" />
      <Code text={shown.code} label={shown.name} />
    </section>
  )
}

function Code({ text, label }: { text: string; label: string }) {
  return (
    <figure class="json code-block">
      <figcaption>
        <span>{label}</span>
        <span class="grow" />
        <button type="button" class="icon-button small" aria-label={`Copy ${label}`} title="Copy" onClick={() => void copy(text)}>
          <Icon name="copy" />
        </button>
      </figcaption>
      <pre tabIndex={0} aria-label={label}>
        {text}
      </pre>
    </figure>
  )
}
