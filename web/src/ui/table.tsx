// Lists: a skeleton while they load, what to do where they are empty, a link in each row, pages by cursor.
import type { ComponentChildren } from 'preact'
import type { Problem } from '../api/client'
import { Failure } from './states'

export interface Column<R> {
  name: string
  head: ComponentChildren
  cell: (row: R) => ComponentChildren
  /** On narrow screens a row is a card of these places; others are left out. */
  narrow?: 'title' | 'status' | 'under' | 'side'
  kind?: 'number' | 'wide'
}

interface Props<R> {
  label: string
  columns: Column<R>[]
  rows: R[] | null
  rowKey: (row: R) => string
  /** Where a row leads; its first column holds the link. */
  link?: (row: R) => string
  /** The row that is open beside the list. */
  open?: string | null
  problem?: Problem | null
  retry?: () => void
  empty: ComponentChildren
  loading?: boolean
  fresh?: ReadonlySet<string>
}

export function Table<R>({ label, columns, rows, rowKey, link, open, problem, retry, empty, loading, fresh }: Props<R>) {
  if (problem && !rows) return <Failure problem={problem} retry={retry} />
  if (rows?.length === 0 && !loading) return <>{empty}</>
  return (
    <div class={`table-frame${loading && rows ? ' is-loading' : ''}`} aria-busy={loading}>
      {problem && <Failure problem={problem} retry={retry} />}
      <table class="table" aria-label={label}>
        <thead>
          <tr>
            {columns.map((column) => (
              <th key={column.name} scope="col" class={classes(column)}>
                {column.head}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>{rows ? rows.map((row) => <Row key={rowKey(row)} {...{ row, columns, link, rowKey, open, fresh }} />) : <Skeleton columns={columns} />}</tbody>
      </table>
    </div>
  )
}

function classes<R>(column: Column<R>): string {
  return [`col-${column.name}`, column.kind ?? '', column.narrow ? `narrow-${column.narrow}` : 'narrow-none'].filter(Boolean).join(' ')
}

function Row<R>({ row, columns, link, rowKey, open, fresh }: { row: R } & Pick<Props<R>, 'columns' | 'link' | 'rowKey' | 'open' | 'fresh'>) {
  const id = rowKey(row)
  const to = link?.(row)
  // The link is in the first column; a click elsewhere in the row follows it, unless text was marked.
  const follow = (event: MouseEvent) => {
    const target = event.target as Element
    if (!to || target.closest('a, button, input, label') || window.getSelection()?.toString()) return
    if (event.metaKey || event.ctrlKey) window.open(to, '_blank')
    else window.location.hash = to
  }
  return (
    <tr class={[to ? 'row-link' : '', open === id ? 'is-open' : '', fresh?.has(id) ? 'is-fresh' : ''].filter(Boolean).join(' ')} onClick={follow}>
      {columns.map((column, index) => (
        <td key={column.name} class={classes(column)}>
          {index === 0 && to ? (
            <a href={to} data-row class="row-anchor">
              {column.cell(row)}
            </a>
          ) : (
            column.cell(row)
          )}
        </td>
      ))}
    </tr>
  )
}

function Skeleton<R>({ columns }: { columns: Column<R>[] }) {
  return (
    <>
      {Array.from({ length: 12 }, (_, line) => (
        <tr key={line} class="skeleton">
          {columns.map((column) => (
            <td key={column.name} class={classes(column)}>
              <span class="bone" />
            </td>
          ))}
        </tr>
      ))}
    </>
  )
}
