// Which payloads: rows of conditions, or the filter itself as JSON.
import { Fragment } from 'preact'
import { useId } from 'preact/hooks'
import type { Problem } from '../../api/client'
import { errorsAt, FieldErrors } from '../../ui/field'
import { Icon } from '../../ui/icons'
import { type Condition, faultOf, filterOf, type Operator, OPERATORS } from './conditions'
import { conditionPointer, conditionsIn, type Draft, faultyCondition } from './draft'

interface Props {
  draft: Pick<Draft, 'filter' | 'conditions'>
  change: (part: Pick<Draft, 'filter' | 'conditions'>) => void
  /** Of stored events. */
  fields: string[]
  problem: Problem | null
}

const EMPTY: Condition = { path: '', operator: '$eq', value: '' }

export function FilterField({ draft, change, fields, problem }: Props) {
  const { filter, conditions: rows } = draft
  const edit = (rows: Condition[]) => {
    const made = filterOf(rows)
    change({ filter: made ? JSON.stringify(made, null, 2) : '', conditions: rows })
  }
  const whyNotAsJson = faultyCondition(draft)?.fault
  const whyNotAsRows = conditionsIn(filter) ? undefined : 'This filter is more than a list of conditions'
  const whyNot = rows ? whyNotAsJson : whyNotAsRows
  return (
    <fieldset class="field">
      <legend>Filter</legend>
      <p class="faint">Only events whose payload meets all conditions. Without conditions, all of them.</p>
      {rows ? <Rows rows={rows} edit={edit} fields={fields} problem={problem} /> : <JsonFilter filter={filter} change={(filter) => change({ filter, conditions: null })} />}
      <FieldErrors problem={problem} pointer="/filter" />
      <div class="field-tools">
        {rows && (
          <button type="button" class="text-button" onClick={() => edit([...rows, EMPTY])}>
            <Icon name="plus" /> Add a condition
          </button>
        )}
        <span class="grow" />
        <button type="button" class="text-button" disabled={whyNot !== undefined} title={whyNot} onClick={() => change({ filter, conditions: rows ? null : conditionsIn(filter) })}>
          {rows ? 'Write it as JSON' : 'Show as conditions'}
        </button>
      </div>
    </fieldset>
  )
}

function Rows({ rows, edit, fields, problem }: { rows: Condition[]; edit: (rows: Condition[]) => void; fields: string[]; problem: Problem | null }) {
  const list = useId()
  const put = (at: number, change: Partial<Condition>) => edit(rows.map((row, index) => (index === at ? { ...row, ...change } : row)))
  return (
    <div class="conditions">
      <datalist id={list}>
        {fields.map((field) => (
          <option key={field} value={field} />
        ))}
      </datalist>
      {rows.map((row, index) => {
        const fault = errorsAt(problem, conditionPointer(index)).length ? faultOf(row) : null
        return (
          <Fragment key={index}>
            <ConditionRow row={row} list={list} wrong={fault ? `${list}-error` : undefined} put={(change) => put(index, change)} remove={() => edit(rows.filter((_, other) => other !== index))} />
            {fault && (
              <p id={`${list}-error`} class="field-error">
                {fault}
              </p>
            )}
          </Fragment>
        )
      })}
    </div>
  )
}

interface RowProps {
  row: Condition
  /** The id of the list of suggested fields. */
  list: string
  /** The id of what is wrong with it. */
  wrong: string | undefined
  put: (change: Partial<Condition>) => void
  remove: () => void
}

function ConditionRow({ row, list, wrong, put, remove }: RowProps) {
  const chooseOperator = (operator: Operator) => put({ operator, ...(operator === '$exist' ? { value: 'true' } : {}) })
  return (
    <div class={`condition${wrong ? ' has-error' : ''}`}>
      <input class="mono" aria-label="Field" aria-invalid={Boolean(wrong)} aria-describedby={wrong} placeholder="Field, as in data.amount" list={list} spellcheck={false} autocomplete="off" value={row.path} onInput={(event) => put({ path: event.currentTarget.value })} />
      <select aria-label="Operator" value={row.operator} onChange={(event) => chooseOperator(event.currentTarget.value as Operator)}>
        {Object.entries(OPERATORS).map(([operator, label]) => (
          <option key={operator} value={operator}>
            {label}
          </option>
        ))}
      </select>
      {row.operator === '$exist' ? (
        <select aria-label="Value" value={row.value} onChange={(event) => put({ value: event.currentTarget.value })}>
          <option value="true">yes</option>
          <option value="false">no</option>
        </select>
      ) : (
        <input
          class="mono"
          aria-label="Value"
          placeholder={row.operator === '$in' || row.operator === '$nin' ? 'DE, FR' : '100'}
          title="A number, true, false, null or a text. A text that looks like a number is put in quotes."
          spellcheck={false}
          autocomplete="off"
          value={row.value}
          onInput={(event) => put({ value: event.currentTarget.value })}
        />
      )}
      <button type="button" class="icon-button" aria-label="Remove the condition" title="Remove" onClick={remove}>
        <Icon name="close" />
      </button>
    </div>
  )
}

function JsonFilter({ filter, change }: { filter: string; change: (filter: string) => void }) {
  return (
    <textarea
      class="mono"
      aria-label="Filter as JSON"
      rows={8}
      spellcheck={false}
      placeholder={'{"data": {"amount": {"$gt": 100}, "country": {"$in": ["DE", "FR"]}}}'}
      value={filter}
      onInput={(event) => change(event.currentTarget.value)}
    />
  )
}
