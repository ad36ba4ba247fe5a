// What a customer sees whose portal link has ended. Nothing here leads to anywhere but back.
import { ended, forgetToken } from '../api/session'
import { isFramed } from '../route'
import { Icon, type IconName } from '../ui/icons'

const WORDS: Record<NonNullable<typeof ended.value>, { icon: IconName; title: string; detail: string }> = {
  expired: { icon: 'info', title: 'This link has expired', detail: 'Go back to the page where you found it, and open it again.' },
  refused: { icon: 'info', title: 'This link works no longer', detail: 'It has expired or was withdrawn. Go back to the page where you found it, and open it again.' },
  left: { icon: 'check', title: 'You have left', detail: 'To come back, go to the page where you found the link, and open it again.' },
}

export function Ended() {
  const { icon, title, detail } = WORDS[ended.value ?? 'refused']
  return (
    <main class="alone">
      <div class="state empty" role="status">
        <Icon name={icon} />
        <h1 class="ended-title">{title}</h1>
        <p>{detail}</p>
        {!isFramed && (
          <button type="button" class="text-button" onClick={forgetToken}>
            Sign in with an API key
          </button>
        )}
      </div>
    </main>
  )
}
