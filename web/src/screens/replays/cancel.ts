// Cancels a replay, and says what came of it.
import { asProblem, post } from '../../api/client'
import { toast } from '../../ui/toast'

export async function cancelReplay(id: string): Promise<void> {
  try {
    const { status } = await post('/replays/{replay_id}/cancel', { at: { replay_id: id } })
    toast(status === 'cancelled' ? 'Cancelled' : 'It had ended already')
  } catch (error) {
    const problem = asProblem(error)
    toast(problem.detail ?? problem.title, 'bad')
  }
}
