package ufm

var imbalanceQuestions []Question
