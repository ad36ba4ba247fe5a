// A filter as rows of conditions, where it is no more than that.
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
  return value !== '' && value === value.trim() && meant(value) === value && !value.includes(',') ? value : JSON.stringify(value)
}

function meant(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

/** A comma-separated list, or a JSON one. */
function list(text: string): unknown[] {
  const whole = meant(text)
  if (Array.isArray(whole)) return whole
  const parts = text.match(/"(?:[^"\\]|\\.)*"|[^,]+/g) ?? []
  return parts.map((part) => meant(part.trim())).filter((part) => part !== '')
}

/** The filter as conditions; null where rows cannot say it. */
export function conditionsOf(filter: Plain): Condition[] | null {
  const rows: Condition[] = []
  const walk = (value: unknown, path: string[]): boolean => {
    if (!isPlain(value)) {
      rows.push({ path: path.join('.'), operator: '$eq', value: shown(value) })
      return !Array.isArray(value)
    }
    const names = Object.keys(value)
    if (!names.length) return false
    return names.every((name) => {
      if (!name.startsWith('$')) return !name.includes('.') && name !== '' && walk(value[name], [...path, name])
      if (!isOperator(name) || !path.length || isPlain(value[name])) return false
      const items = value[name]
      if (isList(name) !== Array.isArray(items)) return false
      rows.push({ path: path.join('.'), operator: name, value: Array.isArray(items) ? items.map(shown).join(', ') : shown(items) })
      return !Array.isArray(items) || items.every((item) => !isPlain(item) && !Array.isArray(item))
    })
  }
  return walk(filter, []) ? rows : null
}

const namesOf = (path: string) => path.split('.').map((name) => name.trim())

/** Whether a condition says which field it is about. */
export const hasField = ({ path }: Condition) => namesOf(path).every((name) => name !== '')

/** The filter that the conditions make, without rows that name no field: nobody may save while there is one. */
export function filterOf(rows: Condition[]): Plain | null {
  const filter: Plain = {}
  for (const { path, operator, value } of rows.filter(hasField)) {
    const names = namesOf(path)
    let inner = filter
    for (const name of names) {
      const inside = Object.hasOwn(inner, name) ? inner[name] : undefined
      const next: Plain = isPlain(inside) ? inside : inside === undefined ? {} : { $eq: inside }
      Object.defineProperty(inner, name, { value: next, enumerable: true, configurable: true, writable: true })
      inner = next
    }
    inner[operator] = isList(operator) ? list(value) : meant(value.trim())
  }
  const simple = simplified(filter) as Plain
  return Object.keys(simple).length ? simple : null
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
