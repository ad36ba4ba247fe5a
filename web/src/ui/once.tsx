// What is shown once and never again: a key, a link.
import { useState } from 'preact/hooks'
import { Icon } from './icons'
import { copy } from './moment'

export function Once({ label, text }: { label: string; text: string }) {
  const [copied, setCopied] = useState(false)
  return (
    <div class="once">
      <code class="wrap" aria-label={label} tabIndex={0}>
        {text}
      </code>
      <button type="button" class="button primary" onClick={() => void copy(text, `${label} copied`).then(setCopied)}>
        <Icon name={copied ? 'check' : 'copy'} /> Copy
      </button>
    </div>
  )
}
