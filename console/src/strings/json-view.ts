/** What people read in a tree of JSON. */
export const strings = {
  more: (count: number) => `${count.toLocaleString()} more characters`,
  members: (count: number, isArray: boolean) =>
    `${count.toLocaleString()} ${isArray ? (count === 1 ? 'item' : 'items') : count === 1 ? 'key' : 'keys'}`,
  moreMembers: (count: number, left: number) =>
    `show ${count.toLocaleString()} of ${left.toLocaleString()} more`,
} as const;
