// A filter as rows of conditions, where it is no more than that.
import { rounded } from './rounded'

export const OPERATORS = {
  $eq: 'is',
  $ne: 'is not',
  $gt: 'is greater than',
  $gte: 'is at least',
  $lt: 'is less than',
  $lte: 'is at most',
  $in: 'is one of',
  $nin: 'is none of',
  $startsWith: 'starts with',
  $endsWith: 'ends with',
  $contains: 'contains',
  $exist: 'exists',
} as const
export type Operator = keyof typeof OPERATORS

export interface Condition {
  /** Names with dots between them, as in `data.amount`. */
  path: string
  operator: Operator
  value: string
}

type Plain = Record<string, unknown>
const isPlain = (value: unknown): value is Plain => typeof value === 'object' && value !== null && !Array.isArray(value)
const isOperator = (name: string): name is Operator => name in OPERATORS
const isList = (operator: Operator) => operator === '$in' || operator === '$nin'

/** A text that would be read as something else is in quotes. */
function shown(value: unknown): string {
  if (typeof value !== 'string') return JSON.stringify(value)
  const isPlainText = value !== '' && value === value.trim() && meant(value) === value && !/^["[]|,/.test(value)
  return isPlainText ? value : JSON.stringify(value)
}

function meant(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

/** What is between commas, where a text in quotes is one part. */
const PARTS = /\s*("(?:[^"\\]|\\.)*"(?=\s*(?:,|$))|[^,]+)/g

/** The values that a row names, as they are typed: a list is comma-separated, or a JSON one. */
function valuesOf({ operator, value }: Condition): string[] {
  if (!isList(operator) || Array.isArray(meant(value))) return [value.trim()]
  return (value.match(PARTS) ?? []).map((part) => part.trim()).filter((part) => part !== '')
}

function operandOf(row: Condition): unknown {
  const values = valuesOf(row).map(meant)
  return isList(row.operator) && !(values.length === 1 && Array.isArray(values[0])) ? values : values[0]
}

/** The filter as conditions; null where rows cannot say it. */
export function conditionsOf(filter: Plain): Condition[] | null {
  const rows: Condition[] = []
  const walk = (value: unknown, path: string[]): boolean => {
    if (!isPlain(value)) {
      rows.push({ path: path.join('.'), operator: '$eq', value: shown(value) })
      return !Array.isArray(value)
    }
    // The rows with an operator that the field has already come after those that have it first.
    const names = Object.keys(value).sort((one, other) => Number(one === '$and') - Number(other === '$and'))
    if (!names.length) return false
    return names.every((name) => {
      const inner = value[name]
      if (!name.startsWith('$')) return !name.includes('.') && name !== '' && walk(inner, [...path, name])
      if (!path.length || isPlain(inner)) return false
      if (name === '$and') return Array.isArray(inner) && inner.every((one) => walk(one, path))
      if (!isOperator(name) || isList(name) !== Array.isArray(inner)) return false
      rows.push({ path: path.join('.'), operator: name, value: Array.isArray(inner) ? inner.map(shown).join(', ') : shown(inner) })
      return !Array.isArray(inner) || inner.every((item) => !isPlain(item) && !Array.isArray(item))
    })
  }
  // Rows that make another filter would change it as soon as one of them is touched.
  return walk(filter, []) && canonical(filterOf(rows) ?? {}) === canonical(filter) ? rows : null
}

/** Equal for filters that differ only in the order of their names, or in how they say equal. */
function canonical(filter: Plain): string {
  const sorted = (_: string, value: unknown) => (isPlain(value) ? Object.fromEntries(Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1))) : value)
  return JSON.stringify(simplified(filter), sorted)
}

const namesOf = (path: string) => path.split('.').map((name) => name.trim())

/** What keeps a condition out of the filter; null if nothing does. To the server, a name with `$` is an operator. */
export function faultOf(row: Condition): string | null {
  const names = namesOf(row.path)
  if (names.includes('')) return 'Name the field, as in data.amount, or remove the condition.'
  if (names.some((name) => name.startsWith('$'))) return 'The name of a field cannot begin with $.'
  const number = valuesOf(row).map((value) => (typeof meant(value) === 'string' ? null : rounded(value))).find(Boolean)
  return number ? `A browser rounds the number ${number}: set this filter over the API.` : null
}

/** The filter that the conditions make, without those that have a fault: nobody may save while there is one. */
export function filterOf(rows: Condition[]): Plain | null {
  const filter: Plain = {}
  for (const row of rows.filter((row) => faultOf(row) === null)) {
    let field = filter
    for (const name of namesOf(row.path)) {
      const inner = Object.hasOwn(field, name) ? (field[name] as Plain) : {}
      // A name such as __proto__ is a field like any other.
      Object.defineProperty(field, name, { value: inner, enumerable: true, configurable: true, writable: true })
      field = inner
    }
    add(field, row.operator, operandOf(row))
  }
  const simple = simplified(filter) as Plain
  return Object.keys(simple).length ? simple : null
}

/** A field has each operator once: one that comes again stands in its `$and`. */
function add(field: Plain, operator: Operator, operand: unknown): void {
  if (!Object.hasOwn(field, operator)) field[operator] = operand
  else field.$and = [...((field.$and as Plain[] | undefined) ?? []), { [operator]: operand }]
}

/** `{"$eq": 5}` alone is `5`. */
function simplified(value: unknown): unknown {
  if (!isPlain(value)) return value
  const names = Object.keys(value)
  if (names.length === 1 && names[0] === '$eq' && !isPlain(value.$eq)) return value.$eq
  return Object.fromEntries(names.map((name) => [name, name.startsWith('$') ? value[name] : simplified(value[name])]))
}

/** The fields of a payload that a condition may name, for suggestions. */
export function fieldsOf(payload: unknown, most = 40): string[] {
  const found: string[] = []
  const walk = (value: unknown, path: string[]): void => {
    if (found.length >= most || path.length > 6) return
    const inner = Array.isArray(value) ? value.find(isPlain) : value
    if (isPlain(inner)) {
      for (const [name, one] of Object.entries(inner)) if (name && !name.includes('.') && !name.startsWith('$')) walk(one, [...path, name])
    } else if (path.length) found.push(path.join('.'))
  }
  walk(payload, [])
  return found
}
