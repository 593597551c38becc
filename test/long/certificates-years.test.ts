import { test } from 'tap'
import { courses, live } from '../support/certificate-years.ts'

for (const zone of ['Europe/Berlin', 'Australia/Lord_Howe', 'UTC']) {
  for (const course of courses) {
    test(`in ${zone}, certificates ${course.name} are renewed in time through 2028, and no more often`, async (t) => {
      process.env['TZ'] = zone
      await live(t, course, Date.UTC(2029, 0, 1))
    })
  }
}
