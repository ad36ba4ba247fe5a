// Asks before a portal's link takes the place of an API key: who made the link would see what is done from then on.
import { acceptToken, offered } from '../api/session'
import { identify } from '../api/sign_in'
import { Icon } from '../ui/icons'

export function LeaveKey({ token }: { token: string }) {
  const open = () => {
    acceptToken(token)
    void identify()
  }
  return (
    <main class="alone">
      <div class="state empty" role="alertdialog" aria-labelledby="leave-key" aria-describedby="leave-key-detail">
        <Icon name="info" />
        <h1 class="ended-title" id="leave-key">
          Leave your key?
        </h1>
        <p id="leave-key-detail">This link opens the portal of a customer. Your API key is then forgotten in this tab.</p>
        <button type="button" class="button primary" onClick={() => (offered.value = null)}>
          Keep my key
        </button>
        <button type="button" class="button" onClick={open}>
          Open the portal
        </button>
      </div>
    </main>
  )
}
