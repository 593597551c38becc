import { test } from 'tap'
import { classifyAddress } from '../services/private-address.ts'
import type { AddressKind } from '../services/private-address.ts'

const cases: Readonly<Record<string, Readonly<Record<AddressKind, string>>>> = {
  'IPv4 networks begin and end where the registry says': {
    public: `
      1.0.0.0 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0 168.63.129.15
      168.63.129.17 169.253.255.255 169.255.0.0 172.15.255.255 172.32.0.0 191.255.255.255 192.0.1.0 192.0.3.0
      192.88.98.255 192.88.100.0 192.167.255.255 192.169.0.0 198.17.255.255 198.20.0.0 198.51.99.255 198.51.101.0
      203.0.112.255 203.0.114.0 223.255.255.255 8.8.8.8`,
    loopback: '127.0.0.0 127.0.0.1 127.255.255.255',
    private: `
      10.0.0.0 10.255.255.255 172.16.0.0 172.31.255.255 192.168.0.0 192.168.255.255 100.64.0.0 100.127.255.255
      100.100.100.199 100.100.100.201 198.18.0.0 198.19.255.255 192.0.2.0 192.0.2.255 198.51.100.0 198.51.100.255
      203.0.113.0 203.0.113.255`,
    forbidden: `
      0.0.0.0 0.255.255.255 169.254.0.0 169.254.169.254 169.254.255.255 100.100.100.200 168.63.129.16 192.0.0.0
      192.0.0.192 192.0.0.255 192.88.99.0 192.88.99.255 224.0.0.0 239.255.255.255 240.0.0.0 255.255.255.255`,
  },
  'IPv6 networks begin and end where the registry says': {
    public: `
      2000:: 2000:ffff:ffff:: 2001:200:: 2001:db7:ffff:: 2001:db9:: 2001:4860:4860::8888 2003:: 2606:4700::1111
      2606:4700::1111%eth0 3ffe:ffff:: 3fff:1000:: 3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff`,
    loopback: '::1 0:0:0:0:0:0:0:1 ::0.0.0.1 ::1%lo',
    private: `
      fc00:: fd00::1 fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff fd00:ec1:ffff:: fd00:ec3:: FD00::1 fd00:42::41
      fd00:42::43 fd20:ce::253 fd00:c1::a9fe:a9ff fd12::1.2.3.4 2001:db8:: 2001:db8:ffff:ffff:ffff:ffff:ffff:ffff
      3fff:: 3fff:fff:ffff::`,
    forbidden: `
      :: ::2 ::8.8.8.8 ::fffe:8.8.8.8 ::ffff:0:808:808 64:ff9b:1::808:808 100:: 1fff:ffff:: 2001::
      2001:0:4136:e378:8000:63bf:3fff:fdd2 2001:1ff:ffff:: 4000:: 5f00::1 fbff:ffff:: fe00:: fe80:: fe80::1
      fe80::1%eth0 fe80::1%25eth0 febf:ffff:: fec0:: feff:ffff:: ff00:: ff02::1
      ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff fd00:42::42 fd20:ce::254 fd00:ec2:: fd00:ec2::254
      fd00:0ec2:0:0:0:0:0:0254 fd00:ec2::23 fd00:c1::a9fe:a9fe`,
  },
  'an IPv4 address inside an IPv6 address decides': {
    public: '::ffff:8.8.8.8 ::ffff:808:808 64:ff9b::8.8.8.8 64:ff9b::808:808 2002:808:808::1',
    loopback: '::ffff:127.0.0.1 ::ffff:7f00:1 0:0:0:0:0:FFFF:7f00:1 64:ff9b::7f00:1 2002:7f00:1::',
    private: '::ffff:10.0.0.1 ::ffff:a00:1 64:ff9b::192.168.0.1 2002:c0a8:1::1 2002:a00:1:ffff::8.8.8.8',
    forbidden: `
      ::ffff:169.254.169.254 ::ffff:a9fe:a9fe 64:ff9b::a9fe:a9fe 2002:a9fe:a9fe:: ::ffff:0.0.0.0
      ::ffff:a9fe:a9fe%eth0 2002:: 64:ff9b:: 2002:ffff:ffff:: ::ffff:100.100.100.200`,
  },
}

for (const [title, kinds] of Object.entries(cases)) {
  test(title, async (t) => {
    for (const [kind, addresses] of Object.entries(kinds)) {
      for (const address of addresses.trim().split(/\s+/)) {
        t.equal(classifyAddress(address), kind, `${address} is ${kind}`)
      }
    }
  })
}

test('what is no IP address literal is forbidden', async (t) => {
  const inexact = ['', ' ', '8.8.8', '8.8.8.8.', ' 8.8.8.8', '8.8.8.8\n', '08.8.8.8', '010.0.0.1', '8.8.8.8%eth0']
  const numbers = ['0x7f.0.0.1', '0x7f000001', '2130706433', '127.1', '8.8.8.8/32', '8.8.8.8:443', '٨.8.8.8']
  const groups = ['[::1]', ':::1', '1::2::3', '2606:4700::11111', '2606:4700:1', '%eth0', '::%', '2606::%\n']
  for (const text of ['localhost', 'example.com', ...inexact, ...numbers, ...groups]) {
    t.equal(classifyAddress(text), 'forbidden', JSON.stringify(text))
  }
})

test('a zone id neither changes the kind nor breaks the reading', async (t) => {
  const zones = ['eth0', '25eth0', 'a%b', 'a]b', 'a/b', '::1', 'a\nb', '\0', 'é']
  for (const zone of zones) {
    t.equal(classifyAddress(`fe80::1%${zone}`), 'forbidden', JSON.stringify(zone))
    t.not(classifyAddress(`::ffff:a9fe:a9fe%${zone}`), 'public', JSON.stringify(zone))
    t.not(classifyAddress(`::1%${zone}`), 'public', JSON.stringify(zone))
  }
})
