import { useState } from 'preact/hooks'
import type { Problem } from '../api/client'
import { notice } from '../api/session'
import { signIn } from '../api/sign_in'
import { Logo } from '../ui/icons'

export function SignIn() {
  const [text, setText] = useState('')
  const [problem, setProblem] = useState<Problem | null>(null)
  const [busy, setBusy] = useState(false)
  const submit = async (event: Event) => {
    event.preventDefault()
    setBusy(true)
    try {
      setProblem(await signIn(text))
    } finally {
      setBusy(false)
    }
  }
  return (
    <main class="alone">
      <form class="sign-in" onSubmit={(event) => void submit(event)}>
        <h1>
          <Logo /> postrider
        </h1>
        {notice.value && !problem && <p class="note amber">{notice.value}. Sign in again.</p>}
        <label for="key">API key</label>
        <input
          id="key"
          type="password"
          autocomplete="off"
          spellcheck={false}
          placeholder="prk_…"
          value={text}
          aria-invalid={Boolean(problem)}
          aria-describedby="key-notes"
          onInput={(event) => setText(event.currentTarget.value)}
        />
        <div id="key-notes">
          {problem && (
            <p class="field-error" role="alert">
              {problem.detail ?? problem.title}
            </p>
          )}
          <p class="faint">
            It is kept in this tab only, until you close it. To make a key: <code>postrider keys create --tenant NAME</code>, or <code>--operator</code> for
            all tenants.
          </p>
        </div>
        <button type="submit" class="button primary wide" disabled={busy || !text.trim()}>
          Sign in
        </button>
      </form>
    </main>
  )
}
