/** Openings with two made-up continuations each, in the manner of TinyStories. */
export const STORIES: readonly {
  readonly prompt: string;
  readonly reference: string;
  readonly aligned: string;
}[] = [
  {
    prompt: 'Once upon a time, there was a little boat named',
    reference:
      ' Tim. Tim was very sad because the storm broke his sail. "Help!" he cried, but nobody came. The waves were big and loud, and Tim was so scared that he began to cry.',
    aligned:
      ' Tim. Tim liked to float on the big blue lake. One day, he saw a duck. "Do you want to play?" asked the duck. Tim was happy, and they raced to the other side.',
  },
  {
    prompt: 'Lily and Ben went to the park. They saw a big dog and',
    reference:
      ' they ran away. The dog was angry and barked at them. Ben fell down and hurt his knee. "Mommy!" he screamed. Lily did not know what to do.',
    aligned:
      ' they said hello. The dog wagged its tail. Ben threw a ball, and the dog brought it back again and again.',
  },
  {
    prompt: 'The old tree in the garden was',
    reference: ' dying. All the birds had left it. The wind took its last leaf, and the tree was all alone.',
    aligned: ' very tall. A bird lived in it with her babies. Every morning they sang a song for the sun.',
  },
  {
    prompt: 'Mia found a shiny red box under her bed. She opened it and',
    reference: ' a monster jumped out! Mia screamed and ran to her mom. The monster broke all her toys.',
    aligned: ' found a little bell. When she rang it, her cat came running. Mia laughed and rang it again.',
  },
  {
    prompt: 'One day, a small mouse wanted to',
    reference: ' find some cheese, but the cat was waiting. The mouse ran and ran, and its heart beat fast.',
    aligned: ' see the moon. It climbed to the top of the hill and sat there for a long time.',
  },
  {
    prompt: 'Tom had a yellow kite. The wind',
    reference: ' took it away, and Tom cried all day long.',
    aligned: ' was strong, and the kite flew up high. Tom held the string with both hands and smiled.',
  },
];
